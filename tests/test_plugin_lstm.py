"""A recurrent student from beginning to end: distilled from a BERT, saved, opened in a fresh
process, exported, made int8, and served by ONNX Runtime alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir
import pytest
from commands import Command, command_in
from installing import install
from running import UNMEASURED
from tiny import LABELS, make_artifact, save_bert, sentences, tagged, task_named, write_csv

from compress.artifact import Artifact
from compress.engine import Placement
from compress.errors import UsageError
from compress.registry.models import register_models
from compress.registry.plugins import Registry, engine_for, load_plugins
from compress.workers.jobs.probing import open_probe
from compress.workers.protocol import Chosen, ProbeArtifact, Subject

TASK = task_named("text-classification")
ROWS = {"train": sentences(24, 1), "test": sentences(6, 2)}
STUDENT = {"type": "lstm", "hidden_size": 16, "embedding_dim": 8}
TRAINING = {"epochs": 1, "batch_size": 8, "precision": "fp32", "learning_rate": 1e-2}
TEXTS = ["good w1 w2 w3 w4 w5", "bad", "w6 w7 good"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The environment of a command that finds the plugin; this process finds it too."""
    folder = tmp_path_factory.mktemp("lstm") / "site"
    environ = install(folder, "compress-lstm")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield environ


@pytest.fixture(scope="module")
def plugins(site: Mapping[str, str]) -> Registry:
    """What all plugins register."""
    return load_plugins()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the module's artifacts, and of the store that makes them."""
    return tmp_path_factory.mktemp("chain")


@pytest.fixture(scope="module")
def teacher(place: Path) -> Artifact:
    """A tiny BERT with random weights."""
    (place / "teacher").mkdir()
    return save_bert(place / "teacher", TASK)


@pytest.fixture(scope="module")
def student(plugins: Registry, place: Path, teacher: Artifact) -> Artifact:
    """An LSTM of the teacher's width, distilled from it."""
    return make_artifact(
        place / "student", "distill", TASK, ROWS, input=teacher, student=STUDENT, **TRAINING
    )


@pytest.fixture(scope="module")
def exported(place: Path, student: Artifact) -> Artifact:
    """Its float graph."""
    return make_artifact(place / "float", "export.onnx", TASK, ROWS, input=student)


@pytest.fixture(scope="module")
def quantized(place: Path, student: Artifact) -> Artifact:
    """Its int8 graph."""
    return make_artifact(place / "int8", "quantize.onnx", TASK, ROWS, input=student)


def logits(artifact: Artifact, plugins: Registry, texts: list[str]) -> np.ndarray:
    """The model's logits [texts, labels] of one batch, in its engine."""
    register_models(plugins, ["lstm"])
    engine = engine_for(plugins, artifact.traits.format)
    session = engine.open(artifact, Placement("cpu", 1), TASK)
    processor = TASK.processor(artifact.folder)
    features = TASK.features(TASK.request(texts), processor)
    return session.run(TASK.collate(features, processor))["logits"]


def test_the_student_has_the_teacher_s_tokenizer_and_nothing_else_of_it(
    student: Artifact, teacher: Artifact
) -> None:
    config = json.loads((student.folder / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["LstmForSequenceClassification"]
    assert config["vocab_size"] == 21 and config["cell"] == "lstm"
    tokens = [(each.folder / "tokenizer.json").read_bytes() for each in (student, teacher)]
    assert tokens[0] == tokens[1]
    assert not TASK.processor(student.folder).uses_token_types, "BERT has them, the LSTM has not"
    manifest = student.manifest
    assert manifest.labels == LABELS and manifest.edits == ()
    assert manifest.lineage[-1]["digest"] == teacher.digest
    assert manifest.needs == ("compress-toolkit", "compress-lstm")


def test_hidden_states_of_another_width_are_compared_by_a_projection(
    plugins: Registry, teacher: Artifact, tmp_path: Path
) -> None:
    other = {**STUDENT, "hidden_size": 8}
    made = make_artifact(
        tmp_path / "b",
        "distill",
        TASK,
        ROWS,
        input=teacher,
        student=other,
        **TRAINING,
    )
    assert made.manifest.parameters is not None


def test_a_vocabulary_that_is_too_small_is_refused(
    plugins: Registry, teacher: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="vocab_size: 9 is too small, the tokenizer has ids up to"):
        make_artifact(
            tmp_path / "a",
            "distill",
            TASK,
            ROWS,
            input=teacher,
            student={**STUDENT, "vocab_size": 9},
            **TRAINING,
        )


def test_a_gru_tags_tokens(plugins: Registry, tmp_path: Path) -> None:
    task = task_named("token-classification")
    (tmp_path / "teacher").mkdir()
    teacher = save_bert(tmp_path / "teacher", task, ("O", "B-X", "I-X"))
    made = make_artifact(
        tmp_path / "student",
        "distill",
        task,
        {"train": tagged(12, 1), "test": tagged(4, 2)},
        input=teacher,
        student={**STUDENT, "cell": "gru", "num_hidden_layers": 2},
        **TRAINING,
    )
    config = json.loads((made.folder / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["LstmForTokenClassification"] and config["cell"] == "gru"


@pytest.mark.parametrize("form", ["student", "exported", "quantized"])
def test_the_logits_of_a_text_are_those_that_it_has_in_a_batch(
    form: str, request: pytest.FixtureRequest, plugins: Registry
) -> None:
    artifact = request.getfixturevalue(form)
    together = logits(artifact, plugins, TEXTS)
    alone = [logits(artifact, plugins, [text])[0] for text in TEXTS]
    tolerance = 1e-5 if form != "quantized" else 0.05  # one scale for the whole batch
    assert np.allclose(together, alone, atol=tolerance)


def test_the_graphs_give_the_model_s_answers(
    student: Artifact, exported: Artifact, quantized: Artifact, plugins: Registry
) -> None:
    wanted = logits(student, plugins, TEXTS)
    assert np.allclose(logits(exported, plugins, TEXTS), wanted, atol=1e-5)
    assert np.allclose(logits(quantized, plugins, TEXTS), wanted, atol=0.1)


def test_the_lstm_itself_is_int8_and_the_graph_needs_no_plugin(quantized: Artifact) -> None:
    graph = onnx_ir.load(quantized.folder / "onnx" / "model_quantized.onnx")
    operators = [node.op_type for node in graph.graph]
    assert operators.count("DynamicQuantizeLSTM") == 2 and "LSTM" not in operators
    assert quantized.manifest.needs == ()


@pytest.mark.slow
def test_a_fresh_process_gives_the_same_answers(
    site: Mapping[str, str], student: Artifact, tmp_path: Path, plugins: Registry
) -> None:
    answer = command_in(tmp_path)("predict", student.folder, *TEXTS, "--json", environ=site)
    assert answer.code == 0, answer.err
    softmax = np.exp(logits(student, plugins, TEXTS))
    softmax /= softmax.sum(axis=1, keepdims=True)
    for given, shares in zip(answer.value, softmax, strict=True):
        assert given["label"] == LABELS[int(shares.argmax())]
        assert given["score"] == pytest.approx(float(shares.max()), abs=1e-6)


def test_onnx_runtime_serves_its_graph_alone_also_without_the_plugin(
    site: Mapping[str, str], exported: Artifact, tmp_path: Path
) -> None:
    command = command_in(tmp_path)
    answers = [
        command("predict", exported.folder, *TEXTS, "--json", environ=environ)
        for environ in (site, {})
    ]
    assert [answer.code for answer in answers] == [0, 0], answers[-1].err
    assert [answer.heavy for answer in answers] == ["onnxruntime"] * 2
    assert answers[0].value == answers[1].value


def test_without_the_plugin_its_folder_is_refused_in_one_line(
    student: Artifact, tmp_path: Path
) -> None:
    refused = command_in(tmp_path)("predict", student.folder, TEXTS[0])
    assert refused.code == 2 and refused.heavy == ""
    (line,) = refused.err.splitlines()
    assert "needs compress-lstm, which is not installed" in line


def test_a_process_of_onnx_runtime_never_registers_models(
    plugins: Registry, student: Artifact, exported: Artifact
) -> None:
    class Broken(plugins.architectures["lstm"].cls):  # type: ignore[name-defined]
        @classmethod
        def register(cls) -> None:
            raise RuntimeError("not here")

    entry = replace(plugins.architectures["lstm"], cls=Broken)
    broken = replace(plugins, architectures={**plugins.architectures, "lstm": entry})

    def probe(artifact: Artifact) -> object:
        options = TASK.options.model_dump(mode="json")
        subject = Subject("made", artifact.folder, Chosen(TASK.name, options), None)
        return open_probe(ProbeArtifact(subject, "quick"), broken)

    assert probe(exported)
    with pytest.raises(
        UsageError, match="compress-lstm 1.0: compress_architectures: register of Br"
    ):
        probe(student)


@pytest.mark.slow
def test_a_recipe_distils_exports_and_quantizes_it(
    site: Mapping[str, str], teacher: Artifact, tmp_path: Path, command: Command
) -> None:
    for split, seed in (("train", 1), ("test", 2)):
        write_csv(tmp_path / f"{split}.csv", sentences(24, seed))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"""\
task: {{text-classification: {{max_length: 16}}}}
model: {teacher.folder}
data: {{train: train.csv, test: test.csv}}
benchmark: {{effort: quick}}
stages:
  - distill: {{student: {json.dumps(STUDENT)}, epochs: 1, batch_size: 8, precision: fp32}}
  - quantize.onnx
""",
        encoding="utf-8",
    )
    answer = command("run", recipe, environ={**site, **UNMEASURED})
    assert answer.code == 0, answer.err
    assert answer.heavy == ""
    bad = recipe.read_text(encoding="utf-8").replace("hidden_size", "hiden_size")
    recipe.write_text(bad, encoding="utf-8")
    planned = command("plan", recipe, environ=site)
    assert planned.code == 2 and "a lstm model has no 'hiden_size'" in planned.err
