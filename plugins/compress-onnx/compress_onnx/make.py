"""The work of the stages: from an artifact to the files of an ONNX artifact. No torch, unless a
graph is exported, fused or quantized."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.artifact import Artifact
from compress.engine import Placement
from compress.errors import ModelRefused
from compress.stage import Context

# The session module comes first: it switches ONNX Runtime's telemetry off before anything
# else imports it.
from compress_onnx.session import OnnxSession  # isort: skip
import onnx_ir

from compress_onnx import FLOAT_FILE
from compress_onnx.checking import (
    batches_of_rows,
    checked_batches,
    refuse_difference,
    refuse_infinite,
)
from compress_onnx.floatgraph import float_graph
from compress_onnx.graph import count_int8, write_graph

if TYPE_CHECKING:
    from compress_onnx import ExportOptions, QuantizeOptions

_ONE_THREAD = Placement("cpu", 1)


def export(context: Context[ExportOptions], artifact: Artifact, file: Path) -> None:
    """Write the float graph of ``artifact`` to ``file``, with config and processor beside
    it.

    Raises ModelRefused for a model that cannot be exported, or whose graph gives other outputs."""
    source = float_graph(context, artifact)
    if context.options.fusions:
        _write_fused(context, artifact, source, file)
    else:
        _copy(source, file)
    _write_companions(context, artifact)


def _write_fused(context: Context[Any], artifact: Artifact, source: Path, file: Path) -> None:
    from compress_onnx.rewriting import fuse

    graph = onnx_ir.load(source)
    fuse(graph)
    write_graph(graph, file)
    plain, fused = OnnxSession(source, _ONE_THREAD), OnnxSession(file, _ONE_THREAD)
    refuse_difference(plain, fused, checked_batches(context, artifact), "the graph before fusing")


def _copy(source: Path, file: Path) -> None:
    """Copy a graph, and the weights that may be in a file beside it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for part in source.parent.glob(f"{source.name}*"):
        shutil.copyfile(part, file.parent / part.name)


def quantize(
    context: Context[QuantizeOptions], artifact: Artifact, file: Path
) -> Mapping[str, Any]:
    """Write the int8 graph of ``artifact`` to ``file``, with config and processor beside
    it. Returns facts for the manifest.

    Raises ModelRefused where nothing can be quantized or an output is not finite."""
    from compress_onnx.rewriting import fuse, quantize_graph

    options = context.options
    if artifact.traits.format == "onnx":
        graph = onnx_ir.load(artifact.folder / FLOAT_FILE)
    else:
        graph = onnx_ir.load(float_graph(context, artifact))
    if options.fusions:
        fuse(graph)
    reduced = options.reduces_range()
    graph = quantize_graph(graph, per_channel=options.per_channel, reduce_range=reduced)
    count = count_int8(graph)
    if not count:
        raise ModelRefused(f"{artifact.folder}: quantize.onnx found nothing to quantize in it")
    write_graph(graph, file)
    refuse_infinite(OnnxSession(file, _ONE_THREAD), batches_of_rows(context, artifact))
    _write_companions(context, artifact)
    return {"int8_operators": count, "reduce_range": reduced}


def _write_companions(context: Context[Any], artifact: Artifact) -> None:
    shutil.copyfile(artifact.folder / "config.json", context.output / "config.json")
    context.task.processor(artifact.folder).save(context.output)
