"""The work of ``quantize.qat``: from a float model to an int8 graph that was trained to be one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

# The session module comes first: it switches ONNX Runtime's telemetry off before anything
# else imports it.
from compress_onnx.session import OnnxSession  # isort: skip
import onnx_ir
import torch
from onnxruntime.quantization.calibrate import TensorData
from torch import Tensor, nn
from transformers import PreTrainedModel

from compress.artifact import Artifact
from compress.distilling import Lesson, fit_to_teachers, refuse_strangers
from compress.engine import Placement
from compress.errors import ModelRefused, listed
from compress.exportable import Exportable
from compress.exportchecks import batches_of_rows, traced_batch
from compress.exporting import checked_parts, exportables
from compress.models import open_model
from compress.sessions import TorchSession
from compress.stage import Context, Made
from compress.task import Batch
from compress.teachers import TeacherWeight
from compress.training import TrainingFacts
from compress_onnx.fakequant import Int8Layer, LearnedRanges, fake_quantized
from compress_onnx.floatgraph import float_graphs, write_checked
from compress_onnx.layers import layers
from compress_onnx.make import kept_layers, write_quantized
from compress_onnx.names import INT8_FILE
from compress_onnx.reading import Shared, axes_of_weights, module_of, shared_ranges
from compress_onnx.sensitivity import outputs_error
from compress_onnx.static import Ranges, calibrated, with_fixed_scales

if TYPE_CHECKING:
    from compress_onnx.qat import QatOptions

_NAME = "int8_ranges"
"""The module of a model in training that holds its ranges."""


@dataclass(frozen=True)
class Rounding:
    """What is int8 in a graph: the ``ranges`` of its activations, the ``layers`` that read
    them, and the names of those that stay in floats."""

    ranges: Sequence[Shared]
    layers: Sequence[Int8Layer]
    kept: Sequence[str]


def learn_int8(context: Context[QatOptions]) -> Made:
    """Write the int8 graph of the input, trained to be one, with config and processor beside it."""
    source, data, options = context.input, context.data, context.options
    assert source is not None and data is not None, "a plan gives the stage both"
    teacher = context.references.get("teacher", source)
    for one in (source, teacher):
        refuse_strangers(one, data, context)
    file = _float_graph(context, source)
    graph = onnx_ir.load(file)
    # By rank 0 for all: on machines with other processors they could differ.
    start = context.first(lambda: calibrated(context, source, graph, options.calibration))
    form = _form(options, file, start)
    kept, notes = context.first(lambda: kept_layers(context, source, [file], [form]))
    model = open_model(source, context.task)
    part = _part(context, source, model)
    rounding = rounding_of(context, graph, part.module, kept)
    with learned_ranges(model, _limits(rounding.ranges, start)) as ranges:
        model.train()
        reduce_range = options.reduces_range()
        with fake_quantized(part.module, rounding.layers, ranges, reduce_range=reduce_range):
            facts = _train(context, model, source, teacher)
            if context.rank > 0:
                return Made()
        learned = ranges.all()
    # A training leaves a model that computes in its precision; the graph is of float32.
    whole = open_model(source, context.task)
    whole.load_state_dict(model.state_dict())
    batches, module = batches_of_rows(context, source), _part(context, source, whole).module
    with fake_quantized(module, rounding.layers, LearnedRanges(learned), reduce_range=reduce_range):
        expected = _answers(TorchSession(whole, "cpu"), batches)
    written = _write(context, source, whole, rounding, learned)
    error = _difference(context, expected, batches)
    notes = {**facts, **written, **notes, "difference": error}
    return Made(parameters=source.manifest.parameters, notes=notes)


def _float_graph(context: Context[Any], source: Artifact) -> Path:
    """The float graph of the input. Raises ModelRefused for a model of several parts."""
    files = float_graphs(context, source)
    if len(files) > 1:
        raise ModelRefused(
            f"{source.folder}: it is exported as {len(files)} parts, and one is trained in int8; "
            "use quantize.onnx"
        )
    return files[0]


def _part(context: Context[Any], source: Artifact, model: PreTrainedModel) -> Exportable:
    """What the graph is the graph of: names of layers are names within its module."""
    batch = traced_batch(context.task, source)
    (part,) = exportables(model, context.task, batch, context.architectures)
    return part


def rounding_of(
    context: Context[Any], graph: onnx_ir.Model, module: nn.Module, kept: Sequence[str]
) -> Rounding:
    """Which modules round what. A layer that is no matrix of a module is kept in floats too, and
    the user is told. Raises ModelRefused where nothing is left, as of a model that was traced."""
    names = list(layers(graph))
    axes = axes_of_weights(graph, dict(_matrices(module, set(map(module_of, names)))), kept)
    strange = [name for name in names if module_of(name) not in axes and name not in kept]
    # A module is in floats in all of its runs.
    floats = {module_of(name) for name in (*kept, *strange)}
    kept = [name for name in names if module_of(name) in floats]
    axes = {module: axis for module, axis in axes.items() if module not in floats}
    ranges = shared_ranges(graph, kept)
    if all(axis is None for axis in axes.values()):
        raise ModelRefused(
            "none of its layers can be trained in int8: no product of its graph has a matrix that "
            "is a weight of a module; use quantize.onnx"
        )
    if strange:
        context.note(f"their matrices cannot be found, so they stay in float32: {listed(strange)}")
    inputs = {module: i for i, one in enumerate(ranges) for module in one.modules}
    return Rounding(ranges, [Int8Layer(m, axis, inputs.get(m)) for m, axis in axes.items()], kept)


def _matrices(module: nn.Module, names: set[str]) -> Iterator[tuple[str, np.ndarray]]:
    for name, one in module.named_modules():
        weight = one._parameters.get("weight")
        if name in names and weight is not None:
            yield name, weight.detach().cpu().numpy()


def _limits(ranges: Sequence[Shared], start: Ranges) -> Tensor:
    """The limits (float32 [ranges, 2]) that hold all that calibration found, and 0."""
    limits = torch.zeros(len(ranges), 2)
    for i, one in enumerate(ranges):
        for name in sorted(one.values):
            limits[i, 0] = min(float(limits[i, 0]), float(start[name].lowest))
            limits[i, 1] = max(float(limits[i, 1]), float(start[name].highest))
    return limits


@contextmanager
def learned_ranges(model: PreTrainedModel, start: Tensor) -> Iterator[LearnedRanges]:
    """Within the block the ranges are a part of the model: its optimizer trains them, and a
    checkpoint holds them."""
    ranges = LearnedRanges(start)
    model.add_module(_NAME, ranges)
    try:
        yield ranges
    finally:
        delattr(model, _NAME)


def _train(
    context: Context[QatOptions], model: PreTrainedModel, source: Artifact, teacher: Artifact
) -> TrainingFacts:
    assert context.data is not None, "a plan gives the stage data"
    return fit_to_teachers(
        model,
        context,
        context.options,
        Lesson(context.options.losses),
        [TeacherWeight(teacher)],
        edits=source.manifest.edits,
        processor=context.task.processor(source.folder),
        data=context.data,
    )


def _form(options: QatOptions, file: Path, found: Ranges) -> Any:
    return lambda kept: with_fixed_scales(
        onnx_ir.load(file), found, kept, per_channel=True, reduce_range=options.reduces_range()
    )


def _write(
    context: Context[QatOptions],
    source: Artifact,
    model: PreTrainedModel,
    rounding: Rounding,
    limits: Tensor,
) -> Mapping[str, Any]:
    """Write the int8 graph of the trained model, with the ranges that were learned."""
    with tempfile.TemporaryDirectory(dir=context.output) as place:
        parts = checked_parts(source, context.task, context.architectures, model)
        (file,) = write_checked(parts, Path(place))
        found = _learned(onnx_ir.load(file), rounding, limits)
        form = _form(context.options, file, found)
        advice = "lower learning_rate, or keep layers in floats with keep_float"
        return write_quantized(context, source, [file], [form], rounding.kept, advice)


def _learned(graph: onnx_ir.Model, rounding: Rounding, limits: Tensor) -> dict[str, TensorData]:
    """The ranges by the values of the graph of the trained model, found by the layers that read
    them: its values may have other names than those of the graph before."""
    numbers = {m: i for i, one in enumerate(rounding.ranges) for m in one.modules}
    found = {}
    for one in shared_ranges(graph, rounding.kept):
        low, high = limits[numbers[min(one.modules)]].numpy()
        for value in one.values:
            found[value] = TensorData(lowest=low, highest=high)
    return found


def _answers(session: Any, batches: Sequence[Batch]) -> list[Mapping[str, np.ndarray]]:
    return [session.run(batch) for batch in batches]


def _difference(
    context: Context[Any], expected: Sequence[Mapping[str, np.ndarray]], batches: Sequence[Batch]
) -> float:
    """How far the graph's answers are from those of the model in training: the mean square of their
    differences, as a share of their own."""
    session = OnnxSession(context.output / INT8_FILE, Placement("cpu", 1))
    made = _answers(session, batches)
    named = [{name: one[name] for name in made[0]} for one in expected]
    return outputs_error(named, made)
