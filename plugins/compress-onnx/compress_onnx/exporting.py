"""The float graph of a PyTorch model in memory. No recipes, no artifacts.

``transformers.exporters`` does the work. It gets the dynamic axes explicitly: if it looks
for them itself, it is slower and does not know that the inputs share the batch. Opset 20 is
the first in which GELU is one operator. A 6-layer int8 encoder of hidden size 384 needed 3.0
to 3.1 ms in opsets 17 and 18, and 2.5 to 2.9 ms in 20 and 21. 20 and 21 did not differ beyond
the noise (batch 1, two threads, mean length 22, medians of five processes).
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import onnx_ir
import torch
from onnx_ir.passes.common import RemoveUnusedNodesPass
from torch._dynamo.exc import UserError
from torch.export import Dim
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from transformers import PreTrainedModel
from transformers.exporters.configs import OnnxConfig
from transformers.exporters.exporter_onnx import OnnxExporter

from compress.errors import ModelRefused, name_and_first_line
from compress_onnx.axes import axes_of
from compress_onnx.graph import quiet, values

OPSET = 20
_REASONS: Mapping[type[Exception], str] = {
    GuardOnDataDependentSymNode: "its computation depends on numbers that only a run knows",
    UserError: "its computation is bound to one length of the text",
}


def export_graph(
    model: PreTrainedModel, batch: Mapping[str, np.ndarray], outputs: Collection[str]
) -> onnx_ir.Model:
    """The float graph of ``model``, with the named ``outputs`` alone. Its inputs are the entries of
    ``batch``; their axes are dynamic and named as ``axes_of`` says.

    The model is only traced, so the values in ``batch`` do not matter. Every axis must be longer
    than 1, and axes of other names of other lengths: the tracer treats a length of 1 as a constant,
    and equal lengths as one. Raises ModelRefused for a model that cannot be exported."""
    try:
        graph = _traced(model, batch)
    except (MemoryError, OSError):  # this machine's trouble, not the model's
        raise
    except Exception as error:  # the exporter raises whatever the model's code meets
        traceback.print_exc()
        raise ModelRefused(_refusal(model, error)) from error
    _name_axes(graph, {name: axes_of(name, batch) for name in batch}, model.config.model_type)
    _keep_outputs(graph, outputs)
    return graph


def _traced(model: PreTrainedModel, batch: Mapping[str, np.ndarray]) -> onnx_ir.Model:
    inputs: dict[str, Any] = {n: torch.as_tensor(a) for n, a in batch.items()}
    shapes = {name: _dynamic(axes_of(name, batch)) for name in batch}
    config = OnnxConfig(dynamic=True, dynamic_shapes=shapes, opset_version=OPSET)
    if hasattr(model.config, "use_cache"):
        inputs["use_cache"] = False  # a decoder's keys and values would be outputs
    with quiet():
        graph: onnx_ir.Model = OnnxExporter().export(model, inputs, config).program
    return graph


def _dynamic(names: Iterable[str]) -> dict[int, Any]:
    """What the tracer may assume of each axis. The batch has any size. Of a length the tracer finds
    the bounds itself: many families are traced for three tokens or more."""
    return {axis: Dim(name) if name == "batch" else Dim.DYNAMIC for axis, name in enumerate(names)}


def _refusal(model: PreTrainedModel, error: Exception) -> str:
    reason = "the exporter fails on it"
    for kind, text in _REASONS.items():
        if isinstance(error, kind):
            reason = text
    return (
        f"a {model.config.model_type} model cannot be exported to ONNX: {reason} "
        f"({name_and_first_line(error)[:200]}; the log has the rest)"
    )


def _name_axes(graph: onnx_ir.Model, axes: Mapping[str, Iterable[str]], family: str) -> None:
    """Rename the tracer's symbols for axes (``s43``) to the names of the inputs' axes, also within
    expressions of them (``s43 + 1``). Raises ModelRefused where one symbol has two names."""
    names: dict[str, str] = {}
    for value in graph.graph.inputs:
        assert value.name is not None and value.shape is not None
        for size, name in zip(value.shape, axes[value.name], strict=False):
            symbol = str(size)
            # A number is a length that the graph is bound to. The check of the graph finds that.
            if isinstance(size, onnx_ir.SymbolicDim) and names.setdefault(symbol, name) != name:
                raise ModelRefused(
                    f"a {family} model cannot be exported to ONNX: its graph takes {name} for "
                    f"{names[symbol]}"
                )
    if not names:
        return
    known = re.compile(rf"\b({'|'.join(names)})\b")

    def named(size: int | onnx_ir.SymbolicDim) -> int | str | onnx_ir.SymbolicDim:
        if isinstance(size, onnx_ir.SymbolicDim) and size.value:
            return known.sub(lambda match: names[match[0]], str(size.value))
        return size

    for value in values(graph):
        if value.shape is not None:
            value.shape = onnx_ir.Shape(map(named, value.shape))


def _keep_outputs(graph: onnx_ir.Model, wanted: Collection[str]) -> None:
    """Take away outputs that nobody reads, such as the memories of XLNet, and what computes
    them."""
    kept = [value for value in graph.graph.outputs if value.name in wanted]
    if len(kept) < len(graph.graph.outputs):
        graph.graph.outputs[:] = kept
        RemoveUnusedNodesPass()(graph)
