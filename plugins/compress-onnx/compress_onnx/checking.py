"""Batches that a graph is traced with, and those that it is checked with. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from compress.artifact import Artifact
from compress.engine import Session
from compress.errors import ModelRefused, first_line
from compress.predict import split_by
from compress.stage import Context
from compress.task import Batch, Row
from compress_onnx.axes import with_unequal_lengths
from compress_onnx.session import RUN_FAILURE

TOLERANCE = 1e-3
"""A float export is refused if an output differs by this much or more. A BERT's outputs
differ by 4e-6."""

ROWS = 8


def traced_batch(context: Context[Any], artifact: Artifact) -> Batch:
    """The batch to trace a graph with: two texts of different lengths, and a decoder's input of
    another length than the encoder's."""
    return with_unequal_lengths(_batch(context, artifact, context.task.samples()[1:3]))


def checked_batches(context: Context[Any], artifact: Artifact) -> list[Batch]:
    """Batches to check a graph with, whose sizes and lengths are not those of the traced one: one
    short text, three texts, one long text. A decoder's input is longer than the encoder's, then
    shorter."""
    short, middle, *_, longest = context.task.samples()
    one, three, long = (
        _batch(context, artifact, rows) for rows in ([short], [short, short, middle], [longest])
    )
    return [
        with_unequal_lengths(one, "encoder_length"),
        with_unequal_lengths(three, "encoder_length"),
        with_unequal_lengths(long, "decoder_length"),
    ]


def batches_of_rows(context: Context[Any], artifact: Artifact) -> list[Batch]:
    """A short row alone and some rows together, from the step's data; without data of the task's
    samples."""
    rows = _rows(context)
    if not rows:
        return checked_batches(context, artifact)
    processor = context.task.processor(artifact.folder)
    features = sorted(context.task.features(rows, processor), key=context.task.length)
    # Examples of different groups cannot be in one batch; most are of one.
    groups = split_by([context.task.group(f) for f in features], features)
    features = max(groups, key=len)
    return [context.task.collate(part, processor) for part in (features[:1], features)]


def refuse_difference(expected: Session, made: Session, batches: Iterable[Batch], of: str) -> None:
    """Raise ModelRefused where an output of ``made`` differs from that of ``expected``, the session
    ``of`` something, by TOLERANCE or more, is missing, or has another shape."""
    for batch in batches:
        want = expected.run(batch)
        try:
            got = made.run(batch)
        except (RUN_FAILURE, ModelRefused) as error:
            raise ModelRefused(
                f"export.onnx: the graph does not run on a batch of {_size(batch)}, as {of} does: "
                f"{first_line(error)}"
            ) from error
        for name, value in want.items():
            problem = _difference(value, got.get(name), of)
            if problem:
                raise ModelRefused(
                    f"export.onnx: output {name!r} of a batch of {_size(batch)} {problem}; the "
                    "model does not export faithfully"
                )


def _difference(want: np.ndarray, got: np.ndarray | None, of: str) -> str:
    """How an output differs, in words; empty if it is near enough."""
    if got is None:
        return "is missing"
    if got.shape != want.shape:  # numpy would stretch one of them, and compare
        return f"has the shape {got.shape}, and that of {of} is {want.shape}"
    worst = float(np.abs(want - got).max())
    if worst < TOLERANCE:
        return ""
    return f"differs from that of {of} by {worst:.3g}, more than {TOLERANCE:g}"


def refuse_infinite(made: Session, batches: Iterable[Batch]) -> None:
    """Raise ModelRefused where an output is not finite."""
    bad: set[str] = set()
    for batch in batches:
        outputs = made.run(batch)
        bad.update(name for name, value in outputs.items() if not np.isfinite(value).all())
    if bad:
        raise ModelRefused(
            f"quantize.onnx: outputs are not finite: {', '.join(sorted(bad))}; try per_channel: "
            "true"
        )


def _batch(context: Context[Any], artifact: Artifact, rows: Sequence[Row]) -> Batch:
    processor = context.task.processor(artifact.folder)
    features = context.task.features(rows, processor)
    return context.task.collate(features, processor)


def _rows(context: Context[Any]) -> list[Row]:
    """Some rows of the first split that has any; empty if there is none."""
    if context.data is not None:
        for split in ("validation", "test", "train"):
            rows = context.data.rows(split)
            if rows:
                return rows[:ROWS]
    return []


def _size(batch: Batch) -> str:
    return "x".join(map(str, next(iter(batch.values())).shape))
