"""What the stages do: from an artifact to the files of an ONNX artifact, checked against what it
was made from."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compress.artifact import Artifact
from compress.engine import Placement, Session
from compress.errors import CompressError
from compress.models import open_model
from compress.sessions import TorchSession
from compress.stage import Context
from compress.task import Batch

# The session module comes first: it switches ONNX Runtime's telemetry off before anything else
# imports it.
from compress_onnx.session import OnnxSession  # isort: skip
import onnx_ir

from compress_onnx import FLOAT_FILE
from compress_onnx.graph import count_int8, export_graph, fuse, quantize_graph, write_graph

if TYPE_CHECKING:
    from compress_onnx import ExportOptions, QuantizeOptions

TOLERANCE = 1e-3
"""Largest difference of an output that a float export may have; 4e-6 is what a BERT has."""

SAMPLES = 8
TEXTS = (
    "The first of three short sentences is this [MASK].",
    "A second [MASK], with some more words than the first had, "
    "so that the two are of different lengths.",
    "[MASK].",
)
"""What the graph is traced with where there are no rows; the masks are for a task that fills
them."""


def export(context: Context[ExportOptions], artifact: Artifact, file: Path) -> None:
    """Write the float graph of ``artifact`` to ``file``, config and processor beside it.

    Raises CompressError where an output differs by more than TOLERANCE."""
    batches = _batches(context, artifact)
    session = TorchSession(open_model(artifact, context.task), "cpu")
    graph = _float_graph(session, batches[0])
    if context.options.fusions:
        fuse(graph)
    write_graph(graph, file)
    _check_equal(session, OnnxSession(file, Placement("cpu", 1)), batches[1:])
    _write_companions(context, artifact)


def quantize(
    context: Context[QuantizeOptions], artifact: Artifact, file: Path
) -> Mapping[str, Any]:
    """Facts for the report; the int8 graph of ``artifact`` is written to ``file``, config and
    processor beside it.

    Raises CompressError where nothing can be quantized or an output is not finite."""
    batches = _batches(context, artifact)
    options = context.options
    if artifact.traits.format == "onnx":
        graph = onnx_ir.load(artifact.folder / FLOAT_FILE)
    else:
        graph = _float_graph(TorchSession(open_model(artifact, context.task), "cpu"), batches[0])
    if options.fusions:
        fuse(graph)
    reduced = options.reduces_range()
    graph = quantize_graph(graph, per_channel=options.per_channel, reduce_range=reduced)
    count = count_int8(graph)
    if not count:
        raise CompressError(f"{artifact.folder}: quantize.onnx found nothing to quantize in it")
    write_graph(graph, file)
    _check_finite(OnnxSession(file, Placement("cpu", 1)), batches)
    _write_companions(context, artifact)
    return {"int8_operators": count, "reduce_range": reduced}


def _batches(context: Context[Any], artifact: Artifact) -> list[Batch]:
    """Batches of real rows where there are some: the two longest, which are traced, then the
    shortest alone and all but the longest, by which the result is checked at other sizes."""
    data = context.data
    splits = (
        [data.rows(split) for split in ("validation", "test", "train")] if data is not None else []
    )
    rows = next((r[:SAMPLES] for r in splits if len(r) > 2), None) or context.task.request(TEXTS)
    processor = context.task.processor(artifact.folder)
    features = sorted(context.task.features(rows, processor), key=context.task.length)
    return [
        context.task.collate(f, processor) for f in (features[-2:], features[:1], features[:-1])
    ]


def _float_graph(session: TorchSession, batch: Batch) -> onnx_ir.Model:
    return export_graph(session.model, {n: a for n, a in batch.items() if n in session.inputs})


def _check_equal(expected: Session, made: Session, batches: list[Batch]) -> None:
    for batch in batches:
        want, got = expected.run(batch), made.run(batch)
        for name, value in want.items():
            worst = float(np.abs(value - got[name]).max())
            if not worst < TOLERANCE:
                size = "x".join(map(str, next(iter(batch.values())).shape))
                raise CompressError(
                    f"export.onnx: output {name!r} of a batch of {size} differs from PyTorch's by "
                    f"{worst:.3g}, more than {TOLERANCE:g}; the model does not export faithfully"
                )


def _check_finite(made: Session, batches: list[Batch]) -> None:
    bad = {n for batch in batches for n, v in made.run(batch).items() if not np.isfinite(v).all()}
    if bad:
        raise CompressError(
            f"quantize.onnx: outputs are not finite: {', '.join(sorted(bad))}; try per_channel: "
            "true"
        )


def _write_companions(context: Context[Any], artifact: Artifact) -> None:
    shutil.copyfile(artifact.folder / "config.json", context.output / "config.json")
    context.task.processor(artifact.folder).save(context.output)
