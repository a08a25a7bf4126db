"""Bundles: they answer without the toolkit as the toolkit answers, whole and checked."""

from __future__ import annotations

import ast
import importlib
import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from bundles import in_bare_process, onnx_artifact
from click.testing import CliRunner
from tiny import LABELS, TAGS, save_bert, task_named

import compress
from compress.artifact import Artifact, with_files
from compress.bundling.files.predict import BadRequest, BrokenBundle, Model
from compress.bundling.making import check_bundle, make_bundle
from compress.bundling.programs import FILES, PREDICT, SERVE
from compress.bundling.settings import SERVER
from compress.cli import cli
from compress.errors import IntegrityError, UsageError
from compress.registry.plugins import Registry, load_plugins

TEXTS = [
    "good w1",
    "w1 good w3 w4, bad!",
    "unknown words (here) good w2",
    "good " * 40,
    "good",
    "Ünï 東京 🙂 w1",
]
_ANSWER = """
from predict import Model
requests = json.loads(sys.argv[2])
model = Model(sys.argv[1])
alone = [model([request])[0] for request in requests]
print(json.dumps([alone, model(requests, batch_size=4)]))
"""


@pytest.fixture(scope="module")
def plugins() -> Registry:
    return load_plugins()


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX classifier that is no bundle."""
    folder = tmp_path_factory.mktemp("classifier") / "model"
    return onnx_artifact(folder, task_named("text-classification")).folder


@pytest.fixture(scope="module")
def made(classifier: Path, tmp_path_factory: pytest.TempPathFactory, plugins: Registry) -> Path:
    """The classifier's bundle, which no test changes."""
    return make_bundle(classifier, tmp_path_factory.mktemp("made") / "bundle", plugins).folder


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    """A bundle to change."""
    return Path(shutil.copytree(made, tmp_path / "bundle"))


def alike(one: Any, other: Any) -> bool:
    """Whether two answers are equal, their numbers but for rounding."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == (pytest.approx(other, abs=1e-5) if isinstance(other, float) else other))


@pytest.mark.parametrize(
    ("task", "options", "labels"),
    [
        ("text-classification", {"kind": "single"}, LABELS),
        ("text-classification", {"kind": "multi"}, ("a", "b", "c")),
        ("text-classification", {"kind": "regression"}, ()),
        ("token-classification", {}, TAGS),
    ],
    ids=lambda value: str(value),
)
@pytest.mark.parametrize("precision", ["float", "int8"])
def test_without_the_toolkit_a_bundle_gives_the_answers_of_the_toolkit(
    task: str,
    options: dict[str, Any],
    labels: tuple[str, ...],
    precision: str,
    tmp_path: Path,
    plugins: Registry,
) -> None:
    artifact = onnx_artifact(
        tmp_path / "model",
        task_named(task, **options),
        labels,
        outputs=len(labels) or 1,
        by_token=task == "token-classification",
        precision=precision,
    )
    bundle = make_bundle(artifact.folder, tmp_path / "bundle", plugins)
    pairs = [("good w1", "bad w2"), ("w1\tw2", "w3")] if task == "text-classification" else []
    wanted = compress.load(artifact.folder)([*TEXTS, *pairs])
    alone, together = in_bare_process(_ANSWER, bundle.folder, json.dumps([*TEXTS, *pairs]))
    assert alike(alone, wanted) and alike(together, wanted)
    assert compress.load(bundle.folder)(TEXTS) == wanted[: len(TEXTS)]


@pytest.mark.parametrize("no_answer", [None, 0.0])
@pytest.mark.parametrize("precision", ["float", "int8"])
def test_a_bundle_answers_questions_as_the_toolkit(
    no_answer: float | None, precision: str, tmp_path: Path, plugins: Registry
) -> None:
    small = {"max_length": 24, "stride": 4, "question_length": 6, "answer_length": 3}
    task = task_named("question-answering", no_answer=no_answer, **small)
    folder = onnx_artifact(tmp_path / "model", task, (), spans=True, precision=precision).folder
    bundle = make_bundle(folder, tmp_path / "bundle", plugins)
    questions = [(question, context) for question in TEXTS for context in TEXTS]
    wanted = compress.load(folder)(questions)
    assert {bool(answer["answer"]) for answer in wanted} == {no_answer is None}
    alone, together = in_bare_process(_ANSWER, bundle.folder, json.dumps(questions))
    assert alike(alone, wanted) and alike(together, wanted)


def test_a_bundle_states_what_it_needs_at_the_versions_that_were_tried(made: Path) -> None:
    lines = (made / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert lines == [f"{n}=={version(n)}" for n in ("numpy", "onnxruntime", "tokenizers")]


def test_the_programs_of_bundles_import_what_requirements_name_and_no_more(
    plugins: Registry,
) -> None:
    tasks = [entry.cls for entry in plugins.tasks.values() if entry.cls.bundled]
    engines = [entry.cls for entry in plugins.engines.values() if entry.cls.bundled]
    assert len(tasks) >= 2 and engines
    allowed = sys.stdlib_module_names | {"numpy", "tokenizers"}
    assert _imports(FILES / PREDICT) <= allowed
    assert _imports(FILES / SERVE) <= sys.stdlib_module_names | set(SERVER)
    for task in tasks:
        assert _imports(_file(task.bundled)) <= allowed
    for engine in engines:
        assert _imports(_file(engine.bundled)) <= allowed | set(engine.packages)


def _file(module: str) -> Path:
    return Path(str(importlib.import_module(module).__file__))


def _imports(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


def ran(bundle: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """``predict.py`` as a serving team calls it."""
    return subprocess.run(
        [sys.executable, "-B", str(bundle / "predict.py"), *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_program_answers_arguments_and_lines_and_refuses_what_is_no_text(made: Path) -> None:
    (wanted,) = compress.load(made)("good w1")
    by_argument, by_line = ran(made, "good w1"), ran(made, given="good w1\nbad\tw2\n")
    assert json.loads(by_argument.stdout) == wanted
    first, second = map(json.loads, by_line.stdout.splitlines())
    assert first == wanted and second["text_pair"] == "w2"
    empty = ran(made, " ")
    assert (empty.returncode, empty.stderr) == (2, "error: text 1: text is empty\n")


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (5, "which is no text"),
        (["a", "b", "c"], "it has 3 texts, and the task takes 2 at most"),
        ({"text": "a", "colour": "b"}, "it has 'colour', and the task takes text, text_pair"),
        ({"text_pair": "a"}, "it has no text"),
        ({"text": 1}, "text is 1, which is not text"),
        ("\ud800", "not valid Unicode"),
        ("", "text is empty"),
    ],
)
def test_a_request_that_cannot_be_answered_is_named(request_: Any, words: str, made: Path) -> None:
    with pytest.raises(BadRequest, match=f"text 2: .*{words}"):
        Model(made, threads=1)(["good", request_])


def test_verify_counts_the_recorded_answers(made: Path) -> None:
    ended = CliRunner().invoke(cli, ["verify", str(made), "--json"])
    assert json.loads(ended.stdout)["answers"] == 6


def test_an_artifact_that_is_no_bundle_is_verified_as_before(classifier: Path) -> None:
    assert check_bundle(Artifact.open(classifier)) is None


def test_an_answer_that_differs_from_the_recorded_one_is_found(bundle: Path) -> None:
    examples = json.loads((bundle / "examples.json").read_text(encoding="utf-8"))
    examples["examples"][1]["answer"]["score"] += 0.2
    (bundle / "examples.json").write_text(json.dumps(examples), encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"examples.json has changed"):
        Artifact.open(bundle)
    sealed(bundle)
    with pytest.raises(IntegrityError, match='does not give the recorded answers: error: "I am'):
        check_bundle(Artifact.open(bundle))


def test_a_program_that_is_not_the_toolkits_is_not_run(bundle: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    (bundle / "answering.py").write_text(f"open({str(trace)!r}, 'w')\n", encoding="utf-8")
    sealed(bundle)
    with pytest.raises(UsageError, match="answering.py is not that of this release"):
        check_bundle(Artifact.open(bundle))
    assert not trace.exists()


def sealed(bundle: Path) -> None:
    """Have the manifest name the files as they are now."""
    manifest = Artifact(bundle, compress.artifact.Manifest.read(bundle)).manifest
    (bundle / "compress.json").unlink()
    with_files(manifest, bundle).write(bundle)


def test_a_file_outside_of_a_bundle_is_not_read(bundle: Path, tmp_path: Path) -> None:
    model = bundle / "onnx" / "model.onnx"
    model.rename(tmp_path / "elsewhere.onnx")
    model.symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(BrokenBundle, match="leads out of"):
        Model(bundle, threads=1)
    with pytest.raises(IntegrityError, match="outside of the folder"):
        Artifact.open(bundle)


@pytest.mark.parametrize("text", ["", "[]", '{"bundle_version": 2}'])
def test_a_bundle_without_readable_settings_is_refused(text: str, bundle: Path) -> None:
    (bundle / "bundle.json").write_text(text, encoding="utf-8")
    with pytest.raises(BrokenBundle, match=r"bundle\.json"):
        Model(bundle, threads=1)


def test_a_pytorch_folder_is_refused_with_the_step_to_add(
    tmp_path: Path, plugins: Registry
) -> None:
    save_bert(tmp_path / "model", task_named("text-classification"))
    with pytest.raises(
        UsageError, match=r"format pytorch, .* add a step .*\(export\.onnx, export\.openvino\)"
    ):
        make_bundle(tmp_path / "model", tmp_path / "bundle", plugins)
    assert not (tmp_path / "bundle").exists()


def test_a_task_that_no_program_answers_is_refused_by_its_name(
    tmp_path: Path, plugins: Registry
) -> None:
    artifact = onnx_artifact(tmp_path / "model", task_named("fill-mask"), ())
    with pytest.raises(
        UsageError, match="a model for fill-mask, .* question-answering, text-class"
    ):
        make_bundle(artifact.folder, tmp_path / "bundle", plugins)


def test_an_occupied_place_is_left_alone(
    classifier: Path, tmp_path: Path, plugins: Registry
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "full")
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for place in ("full", "link", "file"):
        with pytest.raises(UsageError, match="--out"):
            make_bundle(classifier, tmp_path / place, plugins)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full", "link"]


def test_a_bundle_appears_whole_or_not_at_all(
    classifier: Path, tmp_path: Path, plugins: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr("compress.bundling.making.examples_of", lambda *_: {"examples": 1})
    with pytest.raises(IntegrityError):
        make_bundle(classifier, tmp_path / "empty", plugins)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    assert list((tmp_path / "empty").iterdir()) == []
    monkeypatch.undo()
    make_bundle(classifier, tmp_path / "empty", plugins)
    assert (tmp_path / "empty" / "predict.py").is_file()


def test_an_own_card_goes_along_and_else_one_is_written(
    classifier: Path, made: Path, tmp_path: Path, plugins: Registry
) -> None:
    assert "A model for text-classification; onnx, float" in read(made / "README.md")
    folder = Path(shutil.copytree(classifier, tmp_path / "model"))
    (folder / "README.md").write_text("# Mine\n", encoding="utf-8")
    bundle = make_bundle(folder, tmp_path / "bundle", plugins)
    assert read(bundle.folder / "README.md") == "# Mine\n"


def read(file: Path) -> str:
    return file.read_text(encoding="utf-8")
