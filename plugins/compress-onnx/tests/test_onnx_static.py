"""``quantize.onnx`` in static mode, on a tiny BERT."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from compress_onnx import INT8_FILE, OnnxRuntimeEngine, QuantizeOnnx
from compress_onnx.calibration import ranges
from compress_onnx.options import Calibration
from compress_onnx.sensitivity import sensitivities
from compress_onnx.static import training_examples
from tiny import LABELS, make_artifact, read, save_bert, sentences, task_named, word_processor

from compress.artifact import Artifact
from compress.engine import Placement
from compress.errors import ModelRefused, UsageError
from compress.models import open_model
from compress.sessions import TorchSession
from compress.task import Batch, Row

TASK = task_named("text-classification")
SPLITS = {"train": sentences(24, seed=1), "validation": sentences(12, seed=2)}
ROWS = read(sentences(12, seed=3), TASK)
BLOCKS, WIDTH = 2, 32


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("static")


@pytest.fixture(scope="module")
def teacher(place: Path) -> Artifact:
    shape = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": BLOCKS}
    return save_bert(place / "teacher", TASK, LABELS, **shape, initializer_range=0.3)


@pytest.fixture(scope="module")
def quantize(teacher: Artifact, place: Path) -> Callable[..., Artifact]:
    """Makes an int8 artifact of the teacher with options."""
    numbers = count()

    def made(splits: Mapping[str, Any] = SPLITS, **options: Any) -> Artifact:
        assert not QuantizeOnnx.check(QuantizeOnnx.Options(**options))
        folder = place / str(next(numbers))
        return make_artifact(folder, "quantize.onnx", TASK, splits, input=teacher, **options)

    return made


@pytest.fixture(scope="module")
def static(quantize: Callable[..., Artifact]) -> Artifact:
    return quantize(mode="static")


def batch_of(rows: Sequence[Row]) -> Batch:
    processor = word_processor()
    return TASK.collate(TASK.features(rows, processor), processor)


def answers(artifact: Artifact, rows: Sequence[Row] = ROWS) -> np.ndarray:
    session = OnnxRuntimeEngine().open(artifact, Placement("cpu", 1), TASK)
    return session.run(batch_of(rows))["logits"]


@pytest.fixture(scope="module")
def expected(teacher: Artifact) -> np.ndarray:
    return TorchSession(open_model(teacher, TASK), "cpu").run(batch_of(ROWS))["logits"]


def stored(artifact: Artifact) -> Mapping[str, onnx.TensorProto]:
    graph = onnx.load(artifact.folder / INT8_FILE).graph
    return {tensor.name: tensor for tensor in graph.initializer}


def test_a_static_model_answers_nearly_as_the_float_one(
    static: Artifact, expected: np.ndarray
) -> None:
    error = np.abs(answers(static) - expected).max()
    assert error < 0.1 * np.abs(expected).max()


def test_weights_have_a_scale_for_each_channel_and_activations_one_that_is_stored(
    static: Artifact,
) -> None:
    graph = onnx.load(static.folder / INT8_FILE).graph
    tensors = stored(static)
    kinds = [node.op_type for node in graph.node]
    assert "DynamicQuantizeLinear" not in kinds
    scales = [tensors[n.input[1]] for n in graph.node if n.op_type == "DequantizeLinear"]
    assert sum(list(scale.dims) in ([WIDTH], [len(LABELS)]) for scale in scales) == BLOCKS * 6 + 2
    assert all(n.input[1] in tensors for n in graph.node if n.op_type == "QuantizeLinear")
    floats = [t for t in tensors.values() if t.data_type == onnx.TensorProto.FLOAT]
    assert max(np.prod(t.dims) for t in floats) <= WIDTH


def test_an_answer_does_not_depend_on_its_company(
    static: Artifact, quantize: Callable[..., Artifact]
) -> None:
    def change(artifact: Artifact) -> float:
        alone = np.concatenate([answers(artifact, [row]) for row in ROWS])
        return float(np.abs(answers(artifact) - alone).max())

    dynamic = quantize(mode="dynamic")
    assert change(static) < 1e-5 < 1e-3 < change(dynamic)


def test_only_products_read_what_was_rounded(static: Artifact) -> None:
    graph = onnx.load(static.folder / INT8_FILE).graph
    made = {name: node for node in graph.node for name in node.output}
    readers = set()
    for node in graph.node:
        for name in node.input:
            given = made.get(name)
            if given is None or given.op_type != "DequantizeLinear":
                continue
            rounding = made.get(given.input[0])
            if rounding is not None and made[rounding.input[0]].op_type == "LayerNormalization":
                readers.add(node.op_type)
    assert readers <= {"MatMul", "Gemm"} and readers


@pytest.mark.parametrize("method", ["average", "percentile", "entropy"])
def test_each_method_gives_scales_that_answer_nearly_as_the_float_model(
    method: str, quantize: Callable[..., Artifact], expected: np.ndarray
) -> None:
    made = quantize(mode="static", calibration={"method": method, "rows": 8})
    assert np.abs(answers(made) - expected).max() < 0.2 * np.abs(expected).max()


class Streaming:
    """A session whose outputs are the batch, that counts what was read."""

    def __init__(self) -> None:
        self.runs = 0

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        self.runs += 1
        return dict(batch)


def numbers(count: int) -> Callable[[], Any]:
    def examples() -> Any:
        generator = np.random.default_rng(0)
        for _ in range(count):
            yield {"x": generator.normal(size=(1, 50, 64)).astype(np.float32)}

    return examples


def test_limits_are_those_of_all_rows_or_their_moving_average() -> None:
    values = [batch["x"] for batch in numbers(40)()]
    low, high = values[0].min(), values[0].max()
    for one in values[1:]:
        low, high = low + 0.01 * (one.min() - low), high + 0.01 * (one.max() - high)
    found = ranges(Streaming(), ["x"], numbers(40), "average", 99.99)["x"]
    assert np.allclose(found.range_value, (low, high), rtol=1e-5)
    found = ranges(Streaming(), ["x"], numbers(40), "minmax", 99.99)["x"]
    assert found.range_value == (np.min(values), np.max(values))


@pytest.mark.parametrize(("method", "runs"), [("minmax", 40), ("average", 40), ("percentile", 80)])
def test_each_example_runs_alone_once_or_twice(method: Any, runs: int) -> None:
    session = Streaming()
    ranges(session, ["x"], numbers(40), method, 99.99)
    assert session.runs == runs


def test_a_percentile_cuts_what_numpy_cuts() -> None:
    values = np.stack([batch["x"] for batch in numbers(40)()])
    found = ranges(Streaming(), ["x"], numbers(40), "percentile", 99)["x"]
    assert np.allclose(found.range_value, np.percentile(values, [0.5, 99.5]), atol=0.01)


def test_entropy_cuts_an_outlier_away() -> None:
    def examples() -> Any:
        yield from numbers(40)()
        yield {"x": np.full((1, 1, 1), 60, np.float32)}

    assert ranges(Streaming(), ["x"], examples, "entropy", 99.99)["x"].highest < 40


def test_no_training_rows_are_one_line_that_says_what_to_do(teacher: Artifact) -> None:
    for data in (None, SimpleNamespace(rows=lambda split: [])):
        with pytest.raises(
            UsageError, match="fixed scales are calibrated on training rows, .* dynamic"
        ):
            training_examples(SimpleNamespace(data=data), teacher, 8)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_a_model_of_which_all_stays_in_floats_is_refused(
    mode: str, quantize: Callable[..., Artifact]
) -> None:
    with pytest.raises(ModelRefused, match="found nothing to quantize"):
        quantize(mode=mode, keep_float=["*"])


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_layers_stay_in_floats_by_patterns_of_their_names(
    mode: str, quantize: Callable[..., Artifact]
) -> None:
    made = quantize(mode=mode, keep_float=["classifier", "*.layer.1.*"])
    floats = [t for t in stored(made).values() if t.data_type == onnx.TensorProto.FLOAT]
    assert sum(np.prod(t.dims) > WIDTH for t in floats) == 6 + 1


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_a_pattern_that_matches_no_layer_is_refused_with_names(
    mode: str, quantize: Callable[..., Artifact]
) -> None:
    with pytest.raises(UsageError, match=r"'clasifier' matches no layer .* such as .*classifier"):
        quantize(mode=mode, keep_float=["classifier", "clasifier"])


def test_a_plan_knows_that_static_mode_needs_training_rows() -> None:
    for options in ({}, {"calibration": Calibration()}):
        chosen = QuantizeOnnx.Options(mode="static", **options)
        assert QuantizeOnnx.splits_needed(chosen) == ("train",)
    assert QuantizeOnnx.splits_needed(QuantizeOnnx.Options()) == ()


class Asked:
    """Data that note which splits are read."""

    def __init__(self) -> None:
        self.splits: set[str] = set()

    def rows(self, split: str) -> list[Row]:
        self.splits.add(split)
        return ROWS


def test_scales_are_of_training_rows_alone(teacher: Artifact) -> None:
    data = Asked()
    context: Any = SimpleNamespace(data=data, seed=0, task=TASK)
    assert len(list(training_examples(context, teacher, 128)())) == min(len(ROWS), 128)
    assert data.splits == {"train"}


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"calibration": Calibration(rows=8)}, "calibration"),
        ({"operators": "all"}, "operators"),
        ({"mode": "static", "fusions": True}, "fusions"),
        ({"mode": "static", "calibration": Calibration(percentile=99)}, "calibration.percentile"),
        (
            {"mode": "static", "operators": "all", "calibration": Calibration(method="entropy")},
            "operators",
        ),
    ],
)
def test_options_that_are_not_read_are_refused(options: Mapping[str, Any], wrong: str) -> None:
    (mistake,) = QuantizeOnnx.check(QuantizeOnnx.Options(**options))
    assert mistake.option == wrong


def test_all_operators_are_quantized_where_that_is_asked(quantize: Callable[..., Artifact]) -> None:
    made = quantize(mode="static", operators="all", per_channel=False)
    graph = onnx.load(made.folder / INT8_FILE).graph
    readers = {n.input[0] for n in graph.node if n.op_type == "QuantizeLinear"}
    given = {output: n.op_type for n in graph.node for output in n.output}
    assert {"Softmax", "LayerNormalization", "MatMul"} <= {given.get(name) for name in readers}


@pytest.fixture(scope="module")
def compared(quantize: Callable[..., Artifact]) -> Artifact:
    return quantize(mode="static", keep_float=2)


def test_the_layers_that_lose_most_stay_in_floats_and_the_notes_have_the_table(
    compared: Artifact, quantize: Callable[..., Artifact]
) -> None:
    notes = compared.manifest.notes
    errors, kept = notes["sensitivity"], notes["float_layers"]
    assert len(errors) == BLOCKS * 6 + 2 + 1
    assert kept == sorted(errors.keys() - {"none"}, key=lambda name: errors[name])[:2]
    assert 0 < errors[kept[0]] < errors["none"]
    named = quantize(mode="static", keep_float=kept)
    assert named.manifest.files[INT8_FILE] == compared.manifest.files[INT8_FILE]


def test_with_layers_in_floats_the_answers_are_nearer(
    compared: Artifact, static: Artifact, expected: np.ndarray
) -> None:
    errors = [np.square(answers(made) - expected).mean() for made in (compared, static)]
    assert errors[0] < errors[1]


def test_a_number_of_layers_without_rows_to_compare_on_is_refused(teacher: Artifact) -> None:
    with pytest.raises(UsageError, match="keep_float: a number compares layers on validation"):
        context: Any = SimpleNamespace(data=None)
        sensitivities(context, teacher, None, None)  # type: ignore[arg-type]


def test_backing_off_keeps_more_layers_in_floats() -> None:
    tries, options = [], QuantizeOnnx.Options(mode="static")
    while (following := QuantizeOnnx.back_off(options)) is not None:
        options = following
        tries.append(options.keep_float)
    assert tries == [2, 4, 8]
    assert (
        QuantizeOnnx.back_off(QuantizeOnnx.Options(mode="static", keep_float=["classifier"]))
        is None
    )
