"""Int8 with fixed scales of the activations: calibrated on training rows, and written as pairs of
QuantizeLinear and DequantizeLinear, of which ONNX Runtime makes products of integers. No torch."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import TensorData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from compress.artifact import Artifact
from compress.engine import Placement
from compress.errors import UsageError
from compress.stage import Context
from compress_onnx.calibration import Examples, ranges
from compress_onnx.examples import examples
from compress_onnx.graph import PRODUCTS, write_graph
from compress_onnx.layers import layers
from compress_onnx.sensitivity import refuse_generating
from compress_onnx.session import OnnxSession

if TYPE_CHECKING:
    from compress_onnx.options import Calibration

Ranges = Mapping[str, TensorData]


def calibrated(
    context: Context[Any],
    artifact: Artifact,
    graph: onnx_ir.Model,
    how: Calibration,
    *,
    everything: bool = False,
) -> dict[str, TensorData]:
    """The ranges of the values of ``graph`` that are quantized, on training rows.

    Raises UsageError where there are none, and ModelRefused for a part of a model that generates:
    no row has its keys and values."""
    refuse_generating(artifact, graph, "mode: static")
    names = read_values(graph, everything)
    with tempfile.TemporaryDirectory(dir=context.output) as folder:
        file = Path(folder, "model.onnx")
        write_graph(_with_outputs(graph, names), file)
        session = OnnxSession(file, Placement("cpu", 1))
        rows = training_examples(context, artifact, how.rows)
        return ranges(session, names, rows, how.method, how.percentile)


def training_examples(context: Context[Any], artifact: Artifact, count: int) -> Examples:
    """Random training rows. Raises UsageError where there are none."""
    if context.data is None or not context.data.rows("train"):
        raise UsageError(
            "fixed scales are calibrated on training rows, and the step has none: give its data a "
            "train split, or take quantize.onnx with mode: dynamic"
        )
    return examples(context, artifact, "train", count)


def read_values(graph: onnx_ir.Model, everything: bool) -> list[str]:
    """The names of the values whose range is to be known: what the layers multiply, or all
    floats."""
    if everything:
        made = [value for node in graph.graph for value in node.outputs]
        return [str(value.name) for value in made if value.dtype == onnx_ir.DataType.FLOAT]
    products = [node for node in layers(graph).values() if node.op_type in PRODUCTS]
    return list(dict.fromkeys(str(node.inputs[0].name) for node in products if node.inputs[0]))


def with_fixed_scales(
    graph: onnx_ir.Model,
    found: Ranges,
    kept: Collection[str] = (),
    *,
    per_channel: bool,
    reduce_range: bool,
    everything: bool = False,
) -> onnx_ir.Model:
    """``graph`` with int8 weights and embeddings, and activations (uint8) between the limits that
    were ``found``. The layers that are ``kept`` stay in floats.

    Products give floats: a second rounding of what they give is what breaks accuracy. With
    ``everything``, each operator of which ONNX Runtime has an int8 form is quantized, and what it
    gives too; without, what is no product reads the activations as they were before rounding."""
    names = [name for name in layers(graph) if name not in kept]
    kinds = sorted({*QDQRegistry, *QLinearOpsRegistry} if everything else {*PRODUCTS, "Gather"})
    if everything:
        names = [str(node.name) for node in graph.graph if node.name not in kept]
    if not names:  # to the quantizer no name is every name
        return graph
    quantizer = QDQQuantizer(
        onnx_ir.to_proto(graph),
        per_channel,
        reduce_range,
        QuantType.QInt8,
        QuantType.QUInt8,
        dict(found),
        names,
        [],
        kinds,
        {} if everything else {"OpTypesToExcludeOutputQuantization": list(PRODUCTS)},
    )
    made: onnx_ir.Model = onnx_ir.from_proto(quantizer.quantize_model())
    if not everything:
        _read_unrounded(made, names)
    return made


def _read_unrounded(graph: onnx_ir.Model, names: Collection[str]) -> None:
    """Let all but the products with these ``names`` read what an activation was before rounding, in
    place. The quantizer gives the rounded one to every reader, such as the sum of a residual."""
    for node in list(graph.graph):
        given = node.inputs[0] if node.op_type == "DequantizeLinear" else None
        rounding = given.producer() if given is not None else None
        value = rounding.inputs[0] if rounding is not None else None
        # What an embedding gives is exact, and is integers only where nobody reads it as floats.
        if value is None or value.is_initializer() or _made_by(value) == "Gather":
            continue
        for reader, place in list(node.outputs[0].uses()):
            if reader.name not in names:
                reader.replace_input_with(place, value)


def _made_by(value: onnx_ir.Value) -> str | None:
    node = value.producer()
    return node.op_type if node is not None else None


def _with_outputs(graph: onnx_ir.Model, names: Sequence[str]) -> onnx_ir.Model:
    """A copy of ``graph`` that gives the named values too."""
    made: onnx_ir.Model = onnx_ir.from_proto(onnx_ir.to_proto(graph))
    known = {value.name for value in made.graph.outputs}
    for node in made.graph:
        for value in node.outputs:
            if value.name in names and value.name not in known:
                made.graph.outputs.append(value)
    return made
