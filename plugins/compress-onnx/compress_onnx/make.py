"""The work of the stages: from an artifact to the files of an ONNX artifact. No torch, unless a
graph is exported, fused or quantized."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.artifact import Artifact
from compress.engine import Placement
from compress.errors import ModelRefused
from compress.exportable import WHOLE
from compress.exportchecks import refuse_difference
from compress.generation import DECODER, ENCODER, GENERATION_FILE
from compress.stage import Context

# The session module comes first: it switches ONNX Runtime's telemetry off before anything
# else imports it.
from compress_onnx.session import FAILURES, OnnxSession  # isort: skip
import onnx_ir

from compress_onnx import FOLDER, INT8_ENDING
from compress_onnx.checking import batches_of_rows, refuse_infinite
from compress_onnx.floatgraph import examples_of, float_graphs
from compress_onnx.graph import count_int8, write_graph
from compress_onnx.opening import open_parts

if TYPE_CHECKING:
    from compress_onnx import ExportOptions, QuantizeOptions

_ONE_THREAD = Placement("cpu", 1)


def export(context: Context[ExportOptions], artifact: Artifact) -> None:
    """Write the float graphs of ``artifact``, with config and processor beside them.

    Raises ModelRefused for a model that cannot be exported, or whose graph gives other outputs."""
    for source in float_graphs(context, artifact):
        file = context.output / FOLDER / source.name
        if context.options.fusions:
            _write_fused(source, file)
        else:
            _copy(source, file)
    _write_companions(context, artifact)


def _write_fused(source: Path, file: Path) -> None:
    from compress_onnx.rewriting import fuse

    graph = onnx_ir.load(source)
    fuse(graph)
    write_graph(graph, file)
    plain, fused = OnnxSession(source, _ONE_THREAD), OnnxSession(file, _ONE_THREAD)
    refuse_difference(plain, fused, examples_of(source), "the graph before fusing", FAILURES)


def _copy(source: Path, file: Path) -> None:
    """Copy a graph, and the weights that may be in a file beside it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for part in source.parent.glob(f"{source.name}*"):
        shutil.copyfile(part, file.parent / part.name)


def quantize(context: Context[QuantizeOptions], artifact: Artifact) -> Mapping[str, Any]:
    """Write the int8 graphs of ``artifact``, with config and processor beside them. Returns facts
    for the manifest.

    Raises ModelRefused where nothing can be quantized or an output is not finite."""
    if artifact.traits.format == "onnx":
        sources = sorted((artifact.folder / FOLDER).glob("*.onnx"))
    else:
        sources = float_graphs(context, artifact)
    count = sum(_quantize_one(context, artifact, source) for source in sources)
    _write_companions(context, artifact)
    if _is_runnable(sources):  # a task makes no batches for other parts of a model
        parts = {s.stem: context.output / FOLDER / f"{s.stem}{INT8_ENDING}.onnx" for s in sources}
        made = open_parts(parts, _ONE_THREAD, context.output)
        refuse_infinite(made, batches_of_rows(context, artifact))
    return {"int8_operators": count, "reduce_range": context.options.reduces_range()}


def _quantize_one(context: Context[QuantizeOptions], artifact: Artifact, source: Path) -> int:
    """Write the int8 graph of one float graph. Returns the number of its int8 operators."""
    from compress_onnx.rewriting import fuse, quantize_graph

    options, graph = context.options, onnx_ir.load(source)
    if options.fusions:
        fuse(graph)
    graph = quantize_graph(
        graph, per_channel=options.per_channel, reduce_range=options.reduces_range()
    )
    count = count_int8(graph)
    if not count:
        raise ModelRefused(f"{artifact.folder}: quantize.onnx found nothing to quantize in it")
    file = context.output / FOLDER / f"{source.stem}{INT8_ENDING}.onnx"
    write_graph(graph, file)
    return count


def _is_runnable(files: Iterable[Path]) -> bool:
    """Whether the engine knows how the parts of a model in these files go together."""
    return {file.stem for file in files} in ({WHOLE}, {ENCODER, DECODER})


def _write_companions(context: Context[Any], artifact: Artifact) -> None:
    for name in ("config.json", GENERATION_FILE):
        if (artifact.folder / name).is_file():
            shutil.copyfile(artifact.folder / name, context.output / name)
    context.task.processor(artifact.folder).save(context.output)
