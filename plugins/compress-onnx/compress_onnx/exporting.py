"""The float graph of a part of a PyTorch model in memory. No recipes, no artifacts.

Opset 20 is the first in which GELU is one operator. A 6-layer int8 encoder of hidden size 384
needed 3.0 to 3.1 ms in opsets 17 and 18, and 2.5 to 2.9 ms in 20 and 21. 20 and 21 did not differ
beyond the noise (batch 1, two threads, mean length 22, medians of five processes).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import onnx_ir
import torch
from onnx_ir.external_data import load_to_model
from onnx_ir.passes.common import RemoveUnusedNodesPass
from torch import Tensor, nn
from transformers.exporters.exporter_onnx import OnnxExporter

from compress.errors import ModelRefused
from compress.exportable import Exportable
from compress.exporting import called, export
from compress_onnx.graph import values
from compress_onnx.layers import name_layers

OPSET = 20


def export_graph(part: Exportable) -> onnx_ir.Model:
    """The float graph of ``part``, with its inputs and outputs, its names of axes, and the names of
    its modules.

    Raises ModelRefused for a part that cannot be exported."""
    graph: onnx_ir.Model = export(part, OnnxExporter, _trace, opset_version=OPSET)
    axes = {name: part.named_axes(name) for name in part.inputs}
    _name_axes(graph, axes, called(part))
    _keep_outputs(graph, part.outputs)
    name_layers(graph)
    return graph


def _trace(module: nn.Module, tensors: tuple[Tensor, ...], part: Exportable) -> onnx_ir.Model:
    """The graph of one run of ``module``, by torch's exporter of recorded runs."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.onnx")
        torch.onnx.export(
            module,
            tensors,
            file,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            dynamic_axes={name: part.named_axes(name) for name in part.inputs},
            opset_version=OPSET,
            dynamo=False,
        )
        # Large weights are in a file beside it, which goes with the folder.
        return load_to_model(onnx_ir.load(file))


def _name_axes(graph: onnx_ir.Model, axes: Mapping[str, Mapping[int, str]], of: str) -> None:
    """Rename the tracer's symbols for axes (``s43``) to the names of the inputs' axes, also within
    expressions of them (``s43 + 1``). Raises ModelRefused where one symbol has two names."""
    names: dict[str, str] = {}
    for value in graph.graph.inputs:
        assert value.name is not None and value.shape is not None
        for place, name in axes[value.name].items():
            symbol = str(value.shape[place])
            # A number is a length that the graph is bound to. The check of the graph finds that.
            if symbol.isidentifier() and names.setdefault(symbol, name) != name:
                raise ModelRefused(
                    f"{of} cannot be exported to ONNX: its graph takes {name} for {names[symbol]}"
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
