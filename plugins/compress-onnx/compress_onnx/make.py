"""The work of the stages: from an artifact to the files of an ONNX artifact, checked
against its source."""

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
from compress.predict import split_by
from compress.sessions import TorchSession
from compress.stage import Context
from compress.task import Batch, Row

# The session module comes first: it switches ONNX Runtime's telemetry off before anything
# else imports it.
from compress_onnx.session import OnnxSession  # isort: skip
import onnx_ir

from compress_onnx import FLOAT_FILE
from compress_onnx.graph import count_int8, export_graph, fuse, quantize_graph, write_graph

if TYPE_CHECKING:
    from compress_onnx import ExportOptions, QuantizeOptions

TOLERANCE = 1e-3
"""A float export is refused if an output differs by this much or more. A BERT's outputs
differ by 4e-6."""

SAMPLES = 8
TEXTS = (
    "The first of three short sentences is this [MASK].",
    "A second [MASK], with some more words than the first had, "
    "so that the two are of different lengths.",
    "[MASK].",
)
"""Texts that the graph is traced with if there are no rows. The masks are for a task that
fills them."""


def export(context: Context[ExportOptions], artifact: Artifact, file: Path) -> None:
    """Write the float graph of ``artifact`` to ``file``, with config and processor beside
    it.

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
    """Write the int8 graph of ``artifact`` to ``file``, with config and processor beside
    it. Returns facts for the manifest.

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
    """Three batches, of real rows if there are any. The first, the two longest rows, is
    traced. The shortest row alone, and all rows but the longest, check the result at other
    sizes."""
    rows = _rows(context) or context.task.request(TEXTS)
    processor = context.task.processor(artifact.folder)
    features = sorted(context.task.features(rows, processor), key=context.task.length)
    # Examples of different groups cannot be in one batch; most are of one.
    groups = split_by([context.task.group(f) for f in features], features)
    features = max(groups, key=len)
    parts = (features[-2:], features[:1], features[:-1])
    return [context.task.collate(part, processor) for part in parts]


def _rows(context: Context[Any]) -> list[Row]:
    """Some rows of the first split with more than two rows; empty if there is none."""
    if context.data is not None:
        for split in ("validation", "test", "train"):
            rows = context.data.rows(split)
            if len(rows) > 2:
                return rows[:SAMPLES]
    return []


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
    bad: set[str] = set()
    for batch in batches:
        outputs = made.run(batch)
        bad.update(name for name, value in outputs.items() if not np.isfinite(value).all())
    if bad:
        raise CompressError(
            f"quantize.onnx: outputs are not finite: {', '.join(sorted(bad))}; try per_channel: "
            "true"
        )


def _write_companions(context: Context[Any], artifact: Artifact) -> None:
    shutil.copyfile(artifact.folder / "config.json", context.output / "config.json")
    context.task.processor(artifact.folder).save(context.output)
