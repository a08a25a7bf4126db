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
from installing import describe_project, first_on_path
from kept_families import give_families
from reports import whole
from ruamel.yaml import YAML

import compress
from compress.cli import cli
from compress.engine import Engine as EngineClass
from compress.errors import CompressError, UsageError
from compress.planning import make_plan
from compress.pretrained.families import Families
from compress.recipes.recipe import TOP_KEYS, read_recipe
from compress.recipes.steps import STEP_KEYS
from compress.registry import hookspecs
from compress.registry.plugins import load_plugins
from compress.stage import Context
from compress.stage import Stage as StageClass
from compress.task import Task as TaskClass

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
PLUGINS = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
RECIPES = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
PYTHON = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
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


@pytest.mark.parametrize("script", ["docs/generate.py", "benchmarks/pages.py"])
def test_generated_parts_are_fresh(script: str) -> None:
    answer = run(script, "--check")
    assert answer.returncode == 0, answer.stderr


def test_make_check_looks_at_the_generated_pages_and_pre_commit_runs_it() -> None:
    check = MAKEFILE.split("\ncheck:")[1].split("\n\n")[0]
    for command in (
        "ruff format --check .",
        "ruff check .",
        "mypy",
        "docs/generate.py --check",
        "benchmarks/pages.py --check",
    ):
        assert f"{command}\n" in f"{check}\n"
    hooks = YAML(typ="safe").load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [h["entry"] for repo in hooks["repos"] for h in repo["hooks"]] == ["make check"]


def test_a_stale_part_is_reported(tmp_path: Path) -> None:
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
    """What benchmarks/pages.py makes of a result."""
    (folder / f"{name}.json").write_text(json.dumps(values), encoding="utf-8")
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT / 'docs')!r}, {str(ROOT / 'benchmarks')!r}]\nfrom "
        "pathlib import Path\n"
        f"import pages\nprint(pages.part({name!r}, Path({str(folder)!r})))"
    )
    return run("-c", code)


ENVIRONMENT = {
    "processor": "Some CPU",
    "threads": 2,
    "memory_bytes": 8e9,
    "versions": {"torch": "2.13.0"},
}


def test_fixed_costs_are_shown_in_imports_of_the_training_libraries(tmp_path: Path) -> None:
    row = {"name": "now", "import": 4.5, "plan": 0.4, "stages": 0.3, "chain": 22.5, "imports": 5.0}
    values = {"environment": ENVIRONMENT, "rows": [row]}
    shown = result(values, "fixedcost", tmp_path).stdout
    assert "| now | 4.50 s | 0.40 s | 0.30 s | 22.50 s | 5.0 |" in shown


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


def test_the_short_table_of_a_run_has_the_reference_and_its_steps() -> None:
    table = README.split("<!-- summary:ner -->")[1].split("<!-- /summary -->")[0]
    names = re.findall(r"^\| (\S+) \|", table, re.M)[2:]
    recipe = (ROOT / "recipes" / "ner-conll2003.yaml").read_text(encoding="utf-8")
    stages = re.findall(r"^  - ([\w.]+):", recipe, re.M)
    engines = [name for name in names if "@" in name]
    assert len(engines) == 1
    assert [name for name in names if "@" not in name] == ["teacher", *stages[1:]]


def test_every_result_has_the_command_that_makes_it() -> None:
    scripts = set(re.findall(r"^python (benchmarks/\w+\.py)", RESULTS, re.M))
    assert [script for script in sorted(scripts) if not (ROOT / script).is_file()] == []
    before, *sections = RESULTS.split("<!-- results:")
    runs = re.findall(r"^cp runs/", RESULTS, re.M)
    assert len(sections) == len(scripts) + len(runs), (
        "a result is of a script, or the report of a run"
    )
    for text in (before, *sections[:-1]):
        assert text.rstrip().endswith("```")


def test_a_result_that_is_not_there_has_no_number(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'benchmarks')!r})\nfrom pathlib import "
        "Path\nimport pages\n"
        "for n in pages._MISSING: print(pages.part(n, Path('nowhere')))"
    )
    lines = run("-c", code).stdout.splitlines()
    assert len(lines) >= 10 and all(
        line.startswith("Not measured yet") and not re.search(r"\b\d", line) for line in lines
    )


# commands of the pages


def _in_ci(command: str) -> bool:
    """Whether ``.ci/run`` runs the command on a fresh clone, itself or by what it calls."""
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    return command in ci.splitlines() or f"-m {command}" in MAKEFILE


def commands(*pages: str) -> list[str]:
    """The lines of the ``sh`` blocks of the pages that a user reads."""
    lines: list[str] = []
    for text in pages or (README, RECIPES, COMMANDS):
        for block in blocks(text, "sh"):
            lines += [line.strip() for line in block.splitlines() if line.strip()]
    return lines


def test_every_command_of_the_pages_is_run() -> None:
    others = {command for command in commands() if not command.startswith("compress ")}
    assert {c for c in others if c.startswith("make")} == {"make quickstart", "make test"}
    assert all(map(_in_ci, others)), others


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("compress ")])
def test_commands_of_the_pages_work(command: str, tmp_path: Path) -> None:
    give_families(tmp_path)
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
    assert len(commands(README)) >= 6
    assert len(commands(COMMANDS)) >= 6
    assert len(commands()) >= 12


def test_the_readme_is_short_and_leads_to_every_page_of_the_docs() -> None:
    assert len(README.splitlines()) <= 150
    pages = [path.name for path in (ROOT / "docs").glob("*.md")]
    assert len(pages) >= 7
    assert [name for name in pages if f"(docs/{name})" not in README] == []


def test_python_of_the_docs_runs(tmp_path: Path) -> None:
    code = blocks(PYTHON, "python")
    assert len(code) == 1
    give_families(tmp_path)
    answer = run("-c", code[0], COMPRESS_STORE=str(tmp_path))
    assert answer.returncode == 0, answer.stderr
    assert "quantize.onnx quantize.onnx onnx int8" in answer.stdout


def test_the_functions_of_the_python_page_are_those_of_the_package() -> None:
    documented = dict(re.findall(r"^\| `compress\.(\w+)\((.*?)\)` \|", PYTHON, re.M))
    assert set(documented) == set(compress.__all__) - {"__version__", "hookimpl"}
    for name, arguments in documented.items():
        parameters = list(inspect.signature(getattr(compress, name)).parameters)
        assert parameters[: arguments.count(",") + 1] == arguments.split(", ")


def test_the_error_base_of_the_python_page_is_the_one_that_is_raised() -> None:
    assert "`compress.errors.CompressError`" in PYTHON and issubclass(UsageError, CompressError)


def test_exit_codes_of_the_docs_are_those_of_the_command_line() -> None:
    documented = dict(re.findall(r"^\| (\d+) \| (.*?) \|$", COMMANDS, re.M))
    assert len(documented) >= 7
    assert documented == dict(re.findall(r"^  (\d+) +(.*)$", cli.epilog or "", re.M))


def test_every_command_stands_in_the_table_of_the_docs() -> None:
    table = COMMANDS.split("## At a glance\n")[1].split("\n## ")[0]
    assert [name for name in cli.commands if not re.search(rf"`(compress )?{name}\b", table)] == []


def test_environment_variables_of_the_docs_are_read_somewhere() -> None:
    names = re.findall(r"^\| `([A-Z_]+)` \|", COMMANDS, re.M)
    assert len(names) >= 4
    code = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "compress").rglob("*.py"))
    assert [name for name in names if f'"{name}"' not in code] == []


# contributing, changelog


def test_every_make_target_of_the_contributors_page_exists() -> None:
    named = set(re.findall(r"\bmake ([a-z]+)", "\n".join(blocks(CONTRIBUTING, "sh"))))
    assert len(named) >= 4
    assert named - set(re.findall(r"^([a-z]+):", MAKEFILE, re.M)) == set()


def test_every_path_of_the_contributors_page_exists() -> None:
    rooms = "compress|plugins|tests|docs|benchmarks|recipes"
    paths = set(re.findall(rf"`((?:{rooms})/[\w./-]*)`", CONTRIBUTING))
    assert len(paths) >= 20
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_tests_that_the_contributors_page_names_are_found() -> None:
    calls = [c for c in commands(CONTRIBUTING) if "pytest" in c and "::" in c]
    assert calls
    for call in calls:
        words = shlex.split(call)
        answer = run(*words[words.index("-m") :], "--collect-only", "-p", "no:cacheprovider")
        assert answer.returncode == 0, answer.stdout


def test_every_change_stands_under_a_version_and_a_kind_and_is_one_sentence() -> None:
    sections = re.findall(r"^## \[(.+?)\](.*)$", CHANGELOG, re.M)
    assert sections and sections[0][1] == " - unreleased"
    kinds = re.findall(r"^### (\w+)$", CHANGELOG, re.M)
    assert {"Added", "Changed", "Fixed"} <= set(kinds)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    entries = re.findall(r"^- (.*(?:\n  .*)*)", CHANGELOG, re.M)
    assert len(entries) > 30
    one_sentence = re.compile(r"(?s)(?!.*[.!?]\s[A-Z]).*\.")
    assert [entry for entry in entries if not one_sentence.fullmatch(entry)] == []


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
    text: str, tmp_path: Path, fake_model: Callable[..., Path], families: Families
) -> None:
    """With the files that they name; the one stage that is not installed is the guide's own."""
    for name in re.findall(r"[\w./-]+\.(?:csv|conll|txt)", text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(FILES[Path(name).suffix])
    for name in re.findall(r"model: \./(\S+)", text):
        fake_model(name)
    (tmp_path / "recipe.yaml").write_text(text)
    try:
        make_plan(read_recipe(tmp_path / "recipe.yaml"), load_plugins(), families)
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
    assert f"| `{name}({arguments}) -> {signature.return_annotation}` |" in PLUGINS


def test_no_hook_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^\| `(compress_\w+)", PLUGINS, re.M)) == set(hooks())


def test_the_examples_of_the_hooks_exist_and_every_example_is_named() -> None:
    table = PLUGINS.split("## Hooks\n")[1].split("\n## ")[0]
    toys = ROOT / "tests" / "plugins"
    listed = (toys / "README.md").read_text(encoding="utf-8").split("instruments of tests")[0]
    examples = set(re.findall(r"^\| `(compress-[\w-]+)`", listed, re.M))
    assert set(re.findall(r"`(compress-[\w-]+)`", table)) == examples
    own = re.findall(r"`(plugins/[\w-]+)`", table)
    assert own and all((ROOT / path).is_dir() for path in own)


def test_the_stage_of_the_guide_that_trains_is_the_plugin_s() -> None:
    section = PLUGINS.split("\n### A stage that trains\n")[1].split("\n### ")[0]
    file = ROOT / "tests/plugins/compress-bitfit/compress_bitfit/training.py"
    (block,) = blocks(section, "python")
    assert block in file.read_text(encoding="utf-8")


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


def test_the_public_modules_are_the_top_level_and_training() -> None:
    section = PLUGINS.split("## Public modules\n")[1].split("\n## ")[0]
    sentence = section.split("not in the table")[1].split("\n\n")[0]
    not_listed = set(re.findall(r"`(\w+)`", sentence)) | {"__init__", "__main__"}
    top = {path.stem for path in (ROOT / "compress").glob("*.py")}
    listed = set(re.findall(r"^\| `compress\.(\w+)` \|", section, re.M))
    assert not_listed <= top
    assert listed == top - not_listed | {"training", "distilling"}


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
    describe_project(folder, folder)
    return folder


def test_the_guides_plugin_is_found_and_its_recipe_makes_a_plan(example: Path) -> None:
    (example / "recipe.yaml").write_text(blocks(PLUGINS, "yaml")[0])
    give_families(example)
    start = ("-c", "from compress.cli import main; main()")
    stage = run(
        *start, "stages", "merge.average", folder=example, PYTHONPATH=first_on_path(example)
    )
    assert "share" in stage.stdout and stage.returncode == 0, stage.stderr
    plan = run(
        *start,
        "plan",
        "recipe.yaml",
        folder=example,
        PYTHONPATH=first_on_path(example),
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
        PYTHONPATH=first_on_path(example),
    )
    assert answer.returncode == 0 and "3 passed" in answer.stdout, answer.stdout


@pytest.mark.slow
def test_the_guides_code_passes_the_checks_of_this_repository(example: Path) -> None:
    settings, code = ROOT / "pyproject.toml", example / "compress_average"
    format_, lint = ("ruff", "format", "--check", "--config"), ("ruff", "check", "--config")
    for words in (format_, lint, ("mypy", "--strict", "--config-file")):
        search = os.pathsep.join(map(str, (ROOT, example)))
        answer = run("-m", *words, settings, code, MYPYPATH=search)
        assert answer.returncode == 0, answer.stdout + answer.stderr


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


def core_code(folder: str = "") -> str:
    """The text of every module of the core, or of one of its folders."""
    paths = sorted((ROOT / "compress" / folder).rglob("*.py"))
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def test_the_drawing_of_a_run_names_functions_and_types_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.split("## A run\n")[1].split("\n## ")[0]
    drawing = section.split("```\n")[1]
    functions = re.findall(r"^  ([a-z]\w+) +([a-z]+) ", drawing, re.M)
    assert len(functions) > 4 and drawing.count("\n") < 16
    for name, room in functions:
        assert f"\ndef {name}(" in core_code(room), name
    types = re.findall(r"^([A-Z]\w+)", drawing, re.M)
    types += re.findall(r"`([A-Z]\w+)`", section.split("Other types")[1])
    assert len(types) > 10
    code = core_code()
    assert [name for name in types if not re.search(rf"^class {name}\b", code, re.M)] == []


def test_every_module_of_the_core_has_its_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    found = {path.stem for path in (ROOT / "compress").glob("*.py")} | {
        p.parent.name for p in (ROOT / "compress").glob("*/__init__.py")
    }
    found -= {"__init__", "__main__", "recipes"}
    assert [
        name for name in sorted(found) if not re.search(rf"`(compress\.)?{name}/?`", text)
    ] == []
