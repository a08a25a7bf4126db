"""Fuse and quantize ONNX graphs. transformers does the work, and imports torch for it."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir
from transformers.exporters.configs import ExportFormat
from transformers.exporters.onnxruntime_fusions import fuse_for_onnxruntime
from transformers.exporters.quantizers import OnnxRuntimeDynamicConfig, OnnxRuntimeQuantizer

from compress.exporting import quiet
from compress_onnx.tied import multiply_in_int8


def fuse(graph: onnx_ir.Model) -> None:
    """Replace patterns of ``graph`` by ONNX Runtime's own operators, in place."""
    with quiet():
        fuse_for_onnxruntime(graph, "cpu")


def quantize_graph(
    graph: onnx_ir.Model, *, kept: Collection[str] = (), per_channel: bool, reduce_range: bool
) -> onnx_ir.Model:
    """``graph`` with int8 weights (matrix products and embeddings) and activations
    quantized as they come. The nodes that are ``kept`` stay in floats."""
    # The quantizer first makes a MatMul of each Gemm, under another name.
    excluded = [*kept, *(f"{name}_MatMul" for name in kept)]
    config = OnnxRuntimeDynamicConfig(
        per_channel=per_channel, reduce_range=reduce_range, nodes_to_exclude=excluded
    )
    with quiet():
        made: onnx_ir.Model = OnnxRuntimeQuantizer(config).quantize(graph, {}, ExportFormat.ONNX)
    multiply_in_int8(made)
    return made
