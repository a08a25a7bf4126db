"""The work of the stages: from an artifact to the files of an ONNX artifact. No torch, unless a
graph is exported, fused or quantized."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.artifact import Artifact
from compress.cached import CachedSession, Joined
from compress.engine import Placement
from compress.errors import ModelRefused
from compress.exportchecks import (
    batches_of_rows,
    checked_batches,
    refuse_difference,
    refuse_infinite,
)
from compress.generation import CROSS, DECODER, ENCODER, GENERATION_FILE
from compress.stage import Context

# The session module comes first: it switches ONNX Runtime's telemetry off before anything
# else imports it.
from compress_onnx.session import FAILURES, OnnxSession  # isort: skip
import onnx_ir

from compress_onnx import FOLDER, INT8_ENDING, MERGED
from compress_onnx.floatgraph import examples_of, float_graphs
from compress_onnx.graph import count_int8, left_float, write_graph
from compress_onnx.layers import layers, matching
from compress_onnx.merging import merged, parted
from compress_onnx.opening import RUNNABLE, open_parts

if TYPE_CHECKING:
    from compress_onnx import ExportOptions, QuantizeOptions

_ONE_THREAD = Placement("cpu", 1)
_JOINED = (DECODER, CROSS)
"""The parts that become one file."""


def export(context: Context[ExportOptions], artifact: Artifact) -> None:
    """Write the float graphs of ``artifact``, with config and processor beside them.

    Raises ModelRefused for a model that cannot be exported, or whose graph gives other outputs."""
    sources = float_graphs(context, artifact)
    folder = context.output / FOLDER
    for source in sources:
        if context.options.fusions:
            _write_fused(source, folder / source.name)
        else:
            _copy(source, folder / source.name)
    _write_companions(context, artifact)
    if _join(folder, ""):
        _check_joined(context, artifact, sources)


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
    folder = context.output / FOLDER
    # Within the output: what a killed process leaves there goes with it.
    with tempfile.TemporaryDirectory(dir=context.output) as place:
        if artifact.traits.format == "onnx":
            sources = _sources(artifact.folder / FOLDER, Path(place))
        else:
            sources = float_graphs(context, artifact)
        kept = _kept(context, sources)
        graphs = [_quantize_one(context, artifact, source, kept) for source in sources]
    _write_companions(context, artifact)
    _join(folder, INT8_ENDING)
    parts = {f.stem.removesuffix(INT8_ENDING): f for f in folder.glob(f"*{INT8_ENDING}.onnx")}
    if set(parts) in RUNNABLE:  # a task makes no batches for other parts of a model
        made = open_parts(parts, _ONE_THREAD, context.output)
        batches = batches_of_rows(context, artifact)
        refuse_infinite(made, batches, "quantize.onnx", "try per_channel: true")
    count = sum(map(count_int8, graphs))
    reduce_range = context.options.reduces_range()
    return {
        "int8_operators": count,
        "reduce_range": reduce_range,
        **_floats(context, graphs),
    }


def _floats(context: Context[Any], graphs: Sequence[onnx_ir.Model]) -> Mapping[str, Any]:
    """A note of operators that stay in floats, which the user is shown; empty if there are none."""
    left: Counter[str] = Counter()
    for graph in graphs:
        left.update(left_float(graph))
    if not left:
        return {}
    kinds = ", ".join(f"{count} {kind}" for kind, count in left.items())
    context.note(
        f"these operators stay in float32, ONNX Runtime has no int8 form of them here: {kinds}"
    )
    return {"float_operators": dict(left)}


def _sources(folder: Path, place: Path) -> list[Path]:
    """The float graphs in ``folder``. A decoder that is one file with what its layers make of an
    encoder's text is written as two, into ``place``."""
    files = sorted(folder.glob("*.onnx"))
    found = [file for file in files if file.stem != MERGED]
    if len(found) < len(files):
        for name, graph in zip(
            _JOINED, parted(onnx_ir.load(folder / f"{MERGED}.onnx")), strict=True
        ):
            found.append(place / f"{name}.onnx")
            write_graph(graph, found[-1])
    return found


def _join(folder: Path, ending: str) -> bool:
    """Make one file of a decoder and what its layers make of an encoder's text. Returns whether
    the folder has these two."""
    files = [folder / f"{name}{ending}.onnx" for name in _JOINED]
    if not all(file.is_file() for file in files):
        return False
    graph = merged(*map(onnx_ir.load, files))
    write_graph(graph, folder / f"{MERGED}{ending}.onnx")
    for file in files:
        for part in folder.glob(f"{file.name}*"):
            part.unlink()
    return True


def _check_joined(context: Context[Any], artifact: Artifact, sources: Sequence[Path]) -> None:
    """Raise ModelRefused where the files that were written answer otherwise than the parts."""
    parts = {source.stem: OnnxSession(source, _ONE_THREAD) for source in sources}
    decoder = parts[DECODER]
    whole = Joined(decoder, parts[CROSS])
    expected = CachedSession(whole, decoder.shapes, artifact.folder, parts[ENCODER])
    files = {name: context.output / FOLDER / f"{name}.onnx" for name in (ENCODER, MERGED)}
    made = open_parts(files, _ONE_THREAD, context.output)
    batches = checked_batches(context.task, artifact)
    refuse_difference(expected, made, batches, "the decoder in two files", FAILURES)


def _quantize_one(
    context: Context[QuantizeOptions], artifact: Artifact, source: Path, kept: Sequence[str]
) -> onnx_ir.Model:
    """Write the int8 graph of one float graph, and return it."""
    if context.options.mode == "static":
        graph = _static(context, artifact, onnx_ir.load(source), kept)
    else:
        graph = _dynamic(context.options, onnx_ir.load(source), kept)
    if not count_int8(graph):
        raise ModelRefused(f"{artifact.folder}: quantize.onnx found nothing to quantize in it")
    file = context.output / FOLDER / f"{source.stem}{INT8_ENDING}.onnx"
    write_graph(graph, file)
    return graph


def _kept(context: Context[QuantizeOptions], sources: Sequence[Path]) -> list[str]:
    """The layers of all parts that stay in floats."""
    patterns = context.options.keep_float
    if not patterns:
        return []
    names = [name for source in sources for name in layers(onnx_ir.load(source))]
    return matching(patterns, names)


def _dynamic(options: QuantizeOptions, graph: onnx_ir.Model, kept: Sequence[str]) -> onnx_ir.Model:
    from compress_onnx.rewriting import fuse, quantize_graph

    if options.fusions:
        fuse(graph)
    return quantize_graph(
        graph,
        kept=kept,
        per_channel=options.scales_channels,
        reduce_range=options.reduces_range(),
    )


def _static(
    context: Context[QuantizeOptions],
    artifact: Artifact,
    graph: onnx_ir.Model,
    kept: Sequence[str],
) -> onnx_ir.Model:
    from compress_onnx.static import calibrated, with_fixed_scales

    options = context.options
    return with_fixed_scales(
        graph,
        calibrated(context, artifact, graph),
        kept,
        per_channel=options.scales_channels,
        reduce_range=options.reduces_range(),
        everything=options.operators == "all",
    )


def _write_companions(context: Context[Any], artifact: Artifact) -> None:
    for name in ("config.json", GENERATION_FILE):
        if (artifact.folder / name).is_file():
            shutil.copyfile(artifact.folder / name, context.output / name)
    context.task.processor(artifact.folder).save(context.output)
