"""The documentation says what the code does: generated parts are fresh, names exist, commands run,
links lead somewhere."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reports import whole

from compress.cli import cli
from compress.engine import Engine as EngineClass
from compress.errors import CompressError, UsageError
from compress.planning import make_plan
from compress.recipes.recipe import STEP_KEYS, TOP_KEYS, read_recipe
from compress.registry import hookspecs
from compress.registry.plugins import load_plugins
from compress.stage import Context
from compress.stage import Stage as StageClass
from compress.task import Task as TaskClass

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PLUGINS = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
RECIPES = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
PAGES = [
    path
    for path in sorted(ROOT.rglob("*.md"))
    if not {".venv", "runs", ".pytest_cache"} & set(path.parts)
]
TOOLKIT = "compress-toolkit"


def blocks(text: str, *languages: str) -> list[str]:
    """The fenced blocks of a page in these languages."""
    return [
        body
        for language, body in re.findall(r"^```(\w+)\n(.*?)^```", text, re.M | re.S)
        if language in languages
    ]


def run(
    *words: str | Path, folder: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("script", ["docs/generate.py", "benchmarks/readme.py"])
def test_generated_parts_are_fresh(script: str) -> None:
    answer = run(script, "--check")
    assert answer.returncode == 0, answer.stderr


def test_a_stale_part_is_told(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'docs')!r})\nfrom pathlib import Path\nfrom "
        "markers import *\n"
        "page = Path('page.md')\ntext = page.read_text()\n"
        "settle({page: filled(text, {'x:y': 'new'}, 'page')}, check=True)"
    )
    page = tmp_path / "page.md"
    page.write_text("<!-- x:y -->\nold\n<!-- /x -->\n")
    assert "page.md is stale" in run("-c", code, folder=tmp_path).stderr
    page.write_text("<!-- x:y -->\nnew\n<!-- /x -->\n")
    assert run("-c", code, folder=tmp_path).returncode == 0
    page.write_text("no markers\n")
    assert "lacks the markers" in run("-c", code, folder=tmp_path).stderr


# results


def result(values: dict[str, Any], name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What benchmarks/readme.py makes of a result."""
    (folder / f"{name}.json").write_text(json.dumps(values), encoding="utf-8")
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT / 'docs')!r}, {str(ROOT / 'benchmarks')!r}]\nfrom "
        "pathlib import Path\n"
        f"import readme\nprint(readme.part({name!r}, Path({str(folder)!r})))"
    )
    return run("-c", code)


ENVIRONMENT = {
    "processor": "Some CPU",
    "threads": 2,
    "memory_bytes": 8e9,
    "versions": {"torch": "2.13.0"},
}


def test_training_results_show_what_was_measured_and_on_what(tmp_path: Path) -> None:
    values = {
        "environment": ENVIRONMENT,
        "settings": {"batch_size": 32},
        "rows": [
            {
                "name": "compress",
                "sentences_per_second": 100.0,
                "low": 90.0,
                "high": 110.0,
                "f1": [
                    {"seed": seed, "epochs": epochs, "f1": f1, "processor": "Some CPU"}
                    for seed, epochs, f1 in ((0, 2, 0.9), (1, 2, 0.91), (0, 4, 0.93))
                ],
            },
            {"name": "stock", "sentences_per_second": 40.0, "low": 39.0, "high": 41.0, "f1": []},
        ],
        "ratios": [{"name": "compress / stock", "value": 2.5, "low": 2.25, "high": 2.75}],
    }
    shown = result(values, "training", tmp_path).stdout
    assert (
        "| compress | 100.0 [90.0, 110.0] | 0.9050 after 2 epochs (0.9000, 0.9100); 0.9300 after 4 "
        "epochs |" in shown
    )
    assert "| stock | 40.0 [39.0, 41.0] | – |" in shown
    assert "- compress / stock: 2.50x [2.25, 2.75]" in shown
    assert "Some CPU, 2 threads" in shown and "torch 2.13.0" in shown
    assert "F1 of whole trainings: compress on Some CPU." in shown


def measured(name: str, value: float, unit: str, title: str) -> dict[str, Any]:
    return {
        name: {
            "value": value,
            "unit": unit,
            "title": title,
            "low": None,
            "high": None,
            "absent": "",
        }
    }


def report(state: str) -> dict[str, Any]:
    against = {
        "name": "teacher",
        "changes": {
            "quality": {"difference": -0.125, "quotient": 0.875},
            "size": {"difference": 1, "quotient": 0.5},
        },
        "comparisons": {"speedup": {"value": 3.0, "low": 2.5, "high": 3.5, "title": ""}},
    }
    steps = [
        {
            "name": name,
            "task": task,
            "seconds": 30.0,
            "against_reference": of,
            "against_fastest": of,
            "against_parent": of,
            "measurements": measured("quality", quality, "share", "accuracy"),
        }
        for name, task, quality, of in (
            ("pretrain", "fill-mask", 0.3, None),
            ("student", "ner", 0.875, against),
        )
    ]
    return whole(
        {
            "name": "quickstart",
            "state": state,
            "task": {"name": "ner"},
            "reference": "teacher",
            "overrides": ["seed=3"],
            "effort": "standard",
            "seconds": {"making": 60.0, "measuring": 12.0},
            "environment": ENVIRONMENT,
            "steps": steps,
            "fastest_float_engine": None,
        }
    )


def test_a_runs_results_are_its_steps_of_the_recipes_task(tmp_path: Path) -> None:
    shown = result(report("finished"), "quickstart", tmp_path).stdout
    assert "| student | 87.5 %" in shown and "pretrain" not in shown
    assert "3.00x [2.50, 3.50]" in shown and "2.0x smaller" in shown
    assert (
        "took 1.0 minutes, measuring them 0.2 (standard effort)" in shown
        and "Overridden: seed." in shown
    )


def test_an_unfinished_run_is_no_result(tmp_path: Path) -> None:
    answer = result(report("failed"), "ner", tmp_path)
    assert answer.returncode == 1 and "failed" in answer.stderr


def test_a_result_that_is_not_there_has_no_number(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'benchmarks')!r})\nfrom pathlib import "
        "Path\nimport readme\n"
        "for n in readme._MISSING: print(readme.part(n, Path('nowhere')))"
    )
    lines = run("-c", code).stdout.splitlines()
    assert len(lines) == 7 and all(
        line.startswith("Not measured yet") and not re.search(r"\b\d", line) for line in lines
    )


# README


# What is seconds long runs here; the others are what `.ci/run` runs on a fresh clone, or what these
# call.
def _in_ci(command: str) -> bool:
    ci, makefile = (
        (ROOT / ".ci" / "run").read_text(encoding="utf-8"),
        (ROOT / "Makefile").read_text(encoding="utf-8"),
    )
    return command in ci.splitlines() or f"-m {command}" in makefile


def commands() -> list[str]:
    found = [
        line.strip()
        for text in (README, RECIPES)
        for block in blocks(text, "sh")
        for line in block.splitlines()
    ]
    return [line for line in found if line]


def test_every_command_of_the_pages_is_run() -> None:
    others = {command for command in commands() if not command.startswith("compress ")}
    assert {c for c in others if c.startswith("make")} == {"make quickstart", "make test"}
    assert all(map(_in_ci, others)), others


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("compress ")])
def test_commands_of_the_pages_work(command: str, tmp_path: Path) -> None:
    answer = run(
        "-c",
        "from compress.cli import main; main()",
        *shlex.split(command)[1:],
        folder=tmp_path,
        COMPRESS_STORE=str(tmp_path),
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout and "warning" not in answer.stderr


def test_the_pages_show_commands() -> None:
    assert len(commands()) >= 10


def test_python_of_the_readme_runs() -> None:
    code = blocks(README, "python")
    assert len(code) == 1
    answer = run("-c", code[0])
    assert answer.returncode == 0, answer.stderr
    assert "quantize.onnx quantize.onnx onnx int8" in answer.stdout


def test_exit_codes_of_the_readme_are_those_of_the_command_line() -> None:
    said = dict(re.findall(r"^\| (\d+) \| (.*?) \|$", README, re.M))
    assert said == dict(re.findall(r"^  (\d+) +(.*)$", cli.epilog or "", re.M))


def test_every_command_stands_in_the_readme() -> None:
    table = README[README.index("at a glance") : README.index("## From Python")]
    assert [name for name in cli.commands if not re.search(rf"`(compress )?{name}\b", table)] == []


# recipes


@pytest.mark.parametrize(
    ("heading", "keys"), [("## Keys of a recipe", TOP_KEYS), ("## Keys of a step", STEP_KEYS)]
)
def test_every_key_is_documented_and_no_other(heading: str, keys: tuple[str, ...]) -> None:
    section = RECIPES.split(heading + "\n")[1].split("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.M)) == sorted(keys)


@pytest.mark.parametrize("kind", ["stages", "tasks", "sources"])
def test_everything_that_a_recipe_may_name_is_documented(kind: str) -> None:
    names = [
        name for name, entry in load_plugins().of(kind).items() if entry.distribution == TOOLKIT
    ]
    assert names
    assert [name for name in names if f"### `{name}`\n" not in RECIPES] == []


def recipes_of_pages() -> list[Any]:
    found = [
        (path, i, text)
        for path in PAGES
        for i, text in enumerate(blocks(path.read_text(encoding="utf-8"), "yaml"))
    ]
    return [
        pytest.param(text, id=f"{path.parent.name}-{path.name}-{i}")
        for path, i, text in found
        if "stages:" in text and "task:" in text
    ]


def test_the_pages_show_recipes() -> None:
    assert len(recipes_of_pages()) >= 3


FILES = {".csv": "text,label\nx,a\n", ".conll": "EU B-ORG\n", ".txt": "x\n"}


@pytest.mark.parametrize("text", recipes_of_pages())
def test_recipes_of_the_pages_make_a_plan(
    text: str, tmp_path: Path, fake_model: Callable[..., Path]
) -> None:
    """With the files that they name; the one stage that is not installed is the guide's own."""
    for name in re.findall(r"[\w./-]+\.(?:csv|conll|txt)", text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(FILES[Path(name).suffix])
    for name in re.findall(r"model: \./(\S+)", text):
        fake_model(name)
    (tmp_path / "recipe.yaml").write_text(text)
    try:
        make_plan(read_recipe(tmp_path / "recipe.yaml"), load_plugins())
    except UsageError as error:
        assert [m.message for m in error.mistakes] == ["there is no stage 'merge.average'"]


# plugins


def hooks() -> dict[str, Any]:
    return {
        n: f
        for n, f in vars(hookspecs).items()
        if n.startswith("compress_") and inspect.isfunction(f)
    }


@pytest.mark.parametrize("name", hooks())
def test_hooks_are_documented_with_their_arguments(name: str) -> None:
    signature = inspect.signature(hooks()[name])
    arguments = ", ".join(f"{p.name}: {p.annotation}" for p in signature.parameters.values())
    assert f"### `{name}({arguments}) -> {signature.return_annotation}`\n" in PLUGINS


def test_no_hook_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^### `(compress_\w+)", PLUGINS, re.M)) == set(hooks())


@pytest.mark.parametrize("contract", [Context, StageClass, TaskClass, EngineClass])
def test_what_a_contract_has_is_documented(contract: type) -> None:
    names = {
        n for n in (*vars(contract), *inspect.get_annotations(contract)) if not n.startswith("_")
    }
    assert len(names) > 8
    assert [
        name for name in sorted(names) if not re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", PLUGINS)
    ] == []


def test_plugins_import_only_modules_that_are_documented_as_public() -> None:
    section = PLUGINS.split("## Public modules\n")[1].split("\n## ")[0]
    public = {*re.findall(r"^\| `(compress\.\w+)` \|", section, re.M), "compress"}
    used = set()
    for path in ROOT.glob("plugins/*/compress_*/*.py"):
        text = path.read_text(encoding="utf-8")
        used |= set(re.findall(r"^\s*(?:from|import) (compress(?:\.\w+)*)(?= |$)", text, re.M))
    assert len(used) > 10
    assert used - public == set()


def test_modules_that_are_said_to_be_free_of_torch_are() -> None:
    free = re.findall(r"^\| `(compress\.\w+)` \| (?:no|in `fit`) \|", PLUGINS, re.M)
    assert len(free) > 10
    answer = run(
        "-c",
        f"import sys, {', '.join(free)}; sys.exit('torch' in sys.modules or 'transformers' in "
        "sys.modules)",
    )
    assert answer.returncode == 0, answer.stderr


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The complete plugin of the guide, found as an installed distribution is."""
    folder = tmp_path_factory.mktemp("example")
    files = re.findall(r"^`compress-average/([^`]+)`:\n\n```\w+\n(.*?)^```", PLUGINS, re.M | re.S)
    assert len(files) == 4
    for name, text in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    installed = folder / "compress_average-0.1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: compress-average\nVersion: 0.1.0\n"
    )
    (installed / "entry_points.txt").write_text("[compress]\naverage = compress_average\n")
    return folder


def test_the_guides_plugin_is_found_and_its_recipe_makes_a_plan(example: Path) -> None:
    (example / "recipe.yaml").write_text(blocks(PLUGINS, "yaml")[0])
    start = ("-c", "from compress.cli import main; main()")
    stage = run(*start, "stages", "merge.average", folder=example, PYTHONPATH=str(example))
    assert "share" in stage.stdout and stage.returncode == 0, stage.stderr
    plan = run(
        *start,
        "plan",
        "recipe.yaml",
        folder=example,
        PYTHONPATH=str(example),
        COMPRESS_STORE=str(example),
    )
    assert "merge.average" in plan.stdout and plan.returncode == 0, plan.stderr


def test_the_guides_tests_pass(example: Path) -> None:
    answer = run(
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests",
        folder=example,
        PYTHONPATH=str(example),
    )
    assert answer.returncode == 0 and "3 passed" in answer.stdout, answer.stdout


# pages


def test_every_relative_link_leads_to_a_file_and_a_heading() -> None:
    links = [
        (path, target)
        for path in PAGES
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
        if "://" not in target
    ]
    assert len(links) > 10
    assert [(str(path), target) for path, target in links if not _exists(path, target)] == []


def _exists(page: Path, target: str) -> bool:
    file, _, heading = target.partition("#")
    path = (page.parent / file) if file else page
    if not heading:
        return path.exists()
    return path.is_file() and heading in _headings(path.read_text(encoding="utf-8"))


def _headings(text: str) -> set[str]:
    """The anchors that a code host gives a page's headings."""
    found = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_every_plugin_has_a_page() -> None:
    folders = [path.parent for path in ROOT.glob("plugins/*/pyproject.toml")]
    assert len(folders) >= 8
    assert [folder.name for folder in folders if not (folder / "README.md").is_file()] == []


def test_modules_of_the_architecture_page_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.split("## Rooms\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\|[^|]+\|([^|]+)\|", section, re.M)
    names = [name for row in rows for name in re.findall(r"`(\w+)/?`", row)]
    assert len(names) > 20
    package = ROOT / "compress"
    assert [
        n
        for n in names
        if not (package / f"{n}.py").is_file() and not (package / n / "__init__.py").is_file()
    ] == []


def test_every_module_of_the_core_has_its_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    found = {path.stem for path in (ROOT / "compress").glob("*.py")} | {
        p.parent.name for p in (ROOT / "compress").glob("*/__init__.py")
    }
    found -= {"__init__", "__main__", "recipes"}
    assert [
        name for name in sorted(found) if not re.search(rf"`(compress\.)?{name}/?`", text)
    ] == []


def test_the_error_base_of_the_readme_is_the_one_that_is_raised() -> None:
    assert "`compress.errors.CompressError`" in README and issubclass(UsageError, CompressError)
