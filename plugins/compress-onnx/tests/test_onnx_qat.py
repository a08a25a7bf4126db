"""``quantize.qat`` on tiny BERTs: the graph that comes out, what it gains, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from compress_onnx import INT8_FILE, OnnxRuntimeEngine, QuantizeQat
from compress_onnx.fakequant import Int8Layer, fake_quantized
from compress_onnx.learning import learned_ranges
from onethread import one_thread  # noqa: F401
from tiny import (
    LABELS,
    make_artifact,
    read,
    save_bert,
    sentences,
    task_named,
    tiny_bert,
    word_processor,
)
from torch import Tensor
from trainings import OPTIONS, Given, Interrupted, equal

from compress.artifact import Artifact
from compress.engine import Placement
from compress.models import open_model
from compress.sessions import TorchSession
from compress.training import TrainingOptions, fit, reporter

TASK = task_named("text-classification")
SPLITS = {
    "train": sentences(192, seed=1),
    "test": sentences(12, seed=3),
}
ROWS = read(sentences(32, seed=4), TASK)
WIDTH, OUTLIER = 32, 100.0
SHAPE = {
    "hidden_size": WIDTH,
    "intermediate_size": WIDTH,
    "hidden_act": "relu",
    "initializer_range": 0.3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
TRAINING = {"epochs": 1, "batch_size": 16, "precision": "fp32"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("qat")


@pytest.fixture(scope="module")
def teacher(place: Path) -> Artifact:
    """A BERT with one neuron whose activation is hundreds of times as large as the others, and read
    as much weaker: in floats that changes nothing, and in int8 the others are rounded away."""
    folder = place / "teacher"
    made = save_bert(folder, TASK, LABELS, **SHAPE)
    model = open_model(made, TASK)
    block = model.bert.encoder.layer[0]
    with torch.no_grad():
        block.intermediate.dense.weight[0] *= OUTLIER
        block.intermediate.dense.bias[0] += OUTLIER
        block.output.dense.weight[:, 0] /= OUTLIER
    outlying = place / "outlying"
    model.save_pretrained(outlying)
    word_processor().save(outlying)
    return _with_manifest(outlying)


def _with_manifest(folder: Path) -> Artifact:
    from compress.artifact import Manifest, Traits, digest_files

    manifest = Manifest(
        Traits(task=TASK.name), digest_files(folder), "model", "import", labels=LABELS
    )
    manifest.write(folder)
    return Artifact.open(folder)


@pytest.fixture(scope="module")
def static(teacher: Artifact, place: Path) -> Artifact:
    return make_artifact(
        place / "static", "quantize.onnx", TASK, SPLITS, input=teacher, mode="static"
    )


@pytest.fixture(scope="module")
def still(teacher: Artifact, place: Path) -> Artifact:
    """Trained so little that nothing moves."""
    return make_artifact(
        place / "still",
        "quantize.qat",
        TASK,
        SPLITS,
        input=teacher,
        **TRAINING,
        learning_rate=1e-12,
    )


@pytest.fixture(scope="module")
def learned(teacher: Artifact, place: Path) -> Artifact:
    return make_artifact(
        place / "learned",
        "quantize.qat",
        TASK,
        SPLITS,
        input=teacher,
        **{**TRAINING, "epochs": 8},
        learning_rate=1e-3,
        losses=[{"logits": {"distance": "mse"}}],
    )


def batch() -> Mapping[str, np.ndarray]:
    processor = word_processor()
    return TASK.collate(TASK.features(ROWS, processor), processor)


def answers(artifact: Artifact) -> np.ndarray:
    return OnnxRuntimeEngine().open(artifact, Placement("cpu", 1), TASK).run(batch())["logits"]


def error(artifact: Artifact, teacher: Artifact) -> float:
    """The mean square of the differences from the teacher's logits, on rows that none has seen."""
    expected = TorchSession(open_model(teacher, TASK), "cpu").run(batch())["logits"]
    return float(np.square(answers(artifact) - expected).mean())


def graph_of(artifact: Artifact) -> onnx.GraphProto:
    return onnx.load(artifact.folder / INT8_FILE).graph


def numbers(artifact: Artifact) -> list[np.ndarray]:
    return [onnx.numpy_helper.to_array(each) for each in graph_of(artifact).initializer]


def scales(artifact: Artifact) -> list[float]:
    graph = graph_of(artifact)
    stored = {each.name: each for each in graph.initializer}
    rounding = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    return [float(onnx.numpy_helper.to_array(stored[node.input[1]])) for node in rounding]


def test_without_a_step_the_answers_are_those_of_static_mode(
    static: Artifact, still: Artifact
) -> None:
    assert np.allclose(scales(static), scales(still), rtol=1e-6)
    assert np.allclose(answers(static), answers(still), atol=1e-4)
    assert still.manifest.notes["int8_operators"] == static.manifest.notes["int8_operators"]


def test_the_graph_answers_as_the_model_that_was_trained(learned: Artifact) -> None:
    # A difference in the last bit of a float can move an input by one of 255 steps.
    assert learned.manifest.notes["difference"] < 1e-4


def test_ranges_are_learned_and_are_those_of_the_graph(still: Artifact, learned: Artifact) -> None:
    before, after = max(scales(still)), max(scales(learned))
    assert after < 0.5 * before  # that of the neuron's activation


def test_training_gains_what_static_mode_loses(
    static: Artifact, learned: Artifact, teacher: Artifact
) -> None:
    assert error(learned, teacher) < 0.5 * error(static, teacher)


@pytest.mark.slow
def test_layers_that_stay_in_floats_are_trained_in_floats(teacher: Artifact, place: Path) -> None:
    made = make_artifact(
        place / "kept",
        "quantize.qat",
        TASK,
        SPLITS,
        input=teacher,
        **TRAINING,
        keep_float=["classifier", "*.layer.0.*"],
        reduce_range=True,
    )
    floats = [one for one in numbers(made) if one.dtype == np.float32 and one.ndim == 2]
    assert len(floats) == 6 + 1
    assert made.manifest.notes["difference"] < 1e-4


LAYERS = [
    Int8Layer("bert.embeddings.word_embeddings"),
    Int8Layer("bert.encoder.layer.0.attention.self.query", 0, 0),
    Int8Layer("bert.encoder.layer.0.attention.self.key", 0, 0),
    Int8Layer("classifier", 0, 1),
]


def trained(given: Given) -> dict[str, Tensor]:
    model = tiny_bert(TASK)
    with learned_ranges(model, torch.tensor([[-3.0, 3.0], [-1.0, 1.0]])) as ranges:
        with fake_quantized(model, LAYERS, ranges, reduce_range=False):
            fit(model, given, TrainingOptions(**OPTIONS), processor=word_processor())
        return {name: value.clone() for name, value in model.state_dict().items()}


def test_a_resumed_training_ends_in_the_same_bits(tmp_path: Path) -> None:
    unbroken = trained(Given(tmp_path / "unbroken"))
    assert unbroken["int8_ranges.logs"].abs().max() > 0
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(reporter, "_CHECKPOINT_SECONDS", -1)
        trained(Given(tmp_path / "work", stop_at=9))
    again = Given(tmp_path / "work")
    resumed = trained(again)
    assert again.steps[0] > 7 and equal(unbroken, resumed)


def test_after_the_training_the_model_is_as_it_was() -> None:
    model = tiny_bert(TASK).eval()
    before = TorchSession(model, "cpu").run(batch())["logits"]
    names = list(model.state_dict())
    with learned_ranges(model, torch.tensor([[-0.1, 0.1], [-0.1, 0.1]])) as ranges:
        with fake_quantized(model, LAYERS, ranges, reduce_range=False):
            within = TorchSession(model, "cpu").run(batch())["logits"]
        assert set(model.state_dict()) > set(names)
    assert list(model.state_dict()) == names
    assert np.array_equal(TorchSession(model, "cpu").run(batch())["logits"], before)
    assert not np.allclose(within, before)


def test_a_plan_knows_what_it_cannot_do() -> None:
    class Writing:
        @staticmethod
        def generates() -> bool:
            return True

    class Reading:
        @staticmethod
        def generates() -> bool:
            return False

    assert "generates" in str(QuantizeQat.task_misfit(Writing))  # type: ignore[arg-type]
    assert QuantizeQat.task_misfit(Reading) is None  # type: ignore[arg-type]
    assert QuantizeQat.accepts.precisions == ("float",) and QuantizeQat.accepts.trainable
    assert "train" in QuantizeQat.splits_needed(QuantizeQat.Options())


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"teacher": "other", "losses": ["labels"]}, "teacher"),
        ({"calibration": {"percentile": 99}}, "calibration.percentile"),
        ({"losses": [{"logits": {"temperature": 1}}, {"logits": {"temperature": 3}}]}, "losses"),
    ],
)
def test_options_that_are_not_read_are_refused(options: Mapping[str, Any], wrong: str) -> None:
    (mistake,) = QuantizeQat.check(QuantizeQat.Options(**options))
    assert mistake.option == wrong


def test_backing_off_keeps_more_layers_in_floats() -> None:
    tries, options = [], QuantizeQat.Options()
    while (following := QuantizeQat.back_off(options)) is not None:
        options = following
        tries.append(options.keep_float)
    assert tries == [2, 4, 8]


def test_what_the_machine_decides_is_part_of_the_key() -> None:
    assert {"precision", "reduce_range"} <= QuantizeQat.Options().left_to_machine().keys()
