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
from compress.errors import ModelRefused, listed
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

from compress_onnx.floatgraph import examples_of, float_graphs
from compress_onnx.graph import count_int8, left_float, write_graph
from compress_onnx.layers import layers, matching
from compress_onnx.merging import merged, parted
from compress_onnx.names import FOLDER, INT8_ENDING, MERGED
from compress_onnx.opening import RUNNABLE, open_parts
from compress_onnx.sensitivity import Quantized, most_sensitive, refuse_generating, sensitivities

if TYPE_CHECKING:
    from compress_onnx.options import ExportOptions, QuantizeOptions

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
    # Within the output: what a killed process leaves there goes with it.
    with tempfile.TemporaryDirectory(dir=context.output) as place:
        if artifact.traits.format == "onnx":
            sources = _sources(artifact.folder / FOLDER, Path(place))
        else:
            sources = float_graphs(context, artifact)
        forms = [_form(context, artifact, source) for source in sources]
        kept, found = kept_layers(context, artifact, sources, forms)
        advice = "try per_channel: true"
        written = write_quantized(context, artifact, sources, forms, kept, advice)
    return {**written, **found}


def write_quantized(
    context: Context[Any],
    artifact: Artifact,
    sources: Sequence[Path],
    forms: Sequence[Quantized],
    kept: Sequence[str],
    advice: str,
) -> Mapping[str, Any]:
    """Write the int8 ``forms`` of the float graphs ``sources`` with the layers in floats that are
    ``kept``, and config and processor of ``artifact`` beside them. Returns facts for the manifest.

    Raises ModelRefused where nothing is quantized, or where an output is not finite, with
    ``advice``."""
    folder, graphs = context.output / FOLDER, []
    for source, form in zip(sources, forms, strict=True):
        graphs.append(form(kept))
        if not count_int8(graphs[-1]):
            raise ModelRefused(f"{artifact.folder}: found nothing to quantize in it")
        write_graph(graphs[-1], folder / f"{source.stem}{INT8_ENDING}.onnx")
    _write_companions(context, artifact)
    _join(folder, INT8_ENDING)
    parts = {f.stem.removesuffix(INT8_ENDING): f for f in folder.glob(f"*{INT8_ENDING}.onnx")}
    if set(parts) in RUNNABLE:  # a task makes no batches for other parts of a model
        made = open_parts(parts, _ONE_THREAD, context.output)
        refuse_infinite(made, batches_of_rows(context, artifact), "int8", advice)
    return {
        "int8_operators": sum(map(count_int8, graphs)),
        "reduce_range": context.options.reduces_range(),
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


def _form(context: Context[QuantizeOptions], artifact: Artifact, source: Path) -> Quantized:
    """What makes the int8 graph of one float graph, with any layers left in floats."""
    options = context.options
    scales = {"per_channel": options.scales_channels, "reduce_range": options.reduces_range()}
    if options.mode == "dynamic":
        return lambda kept: _dynamic(source, kept, options.fusions, **scales)
    from compress_onnx.static import calibrated, with_fixed_scales

    everything = options.operators == "all"
    graph = onnx_ir.load(source)
    found = calibrated(context, artifact, graph, options.calibrates, everything=everything)
    return lambda kept: with_fixed_scales(
        onnx_ir.load(source), found, kept, everything=everything, **scales
    )


def _dynamic(
    source: Path, kept: Sequence[str], fusions: bool, *, per_channel: bool, reduce_range: bool
) -> onnx_ir.Model:
    from compress_onnx.rewriting import fuse, quantize_graph

    graph = onnx_ir.load(source)
    if fusions:
        fuse(graph)
    return quantize_graph(graph, kept=kept, per_channel=per_channel, reduce_range=reduce_range)


def kept_layers(
    context: Context[Any],
    artifact: Artifact,
    sources: Sequence[Path],
    forms: Sequence[Quantized],
) -> tuple[Sequence[str], Mapping[str, Any]]:
    """The layers of all parts that stay in floats, and what was found by comparing them."""
    asked = context.options.keep_float
    if not asked:
        return [], {}
    graphs = [onnx_ir.load(source) for source in sources]
    if not isinstance(asked, int):
        names = [name for graph in graphs for name in layers(graph)]
        return matching(asked, names), {}
    for graph in graphs:
        refuse_generating(artifact, graph, "keep_float: a number")
    errors = sensitivities(context, artifact, graphs[0], forms[0])
    kept = most_sensitive(errors, asked)
    context.note(f"these layers stay in float32: {listed(kept)}")
    return kept, {"float_layers": kept, "sensitivity": errors}


def _write_companions(context: Context[Any], artifact: Artifact) -> None:
    for name in ("config.json", GENERATION_FILE):
        if (artifact.folder / name).is_file():
            shutil.copyfile(artifact.folder / name, context.output / name)
    context.task.processor(artifact.folder).save(context.output)
