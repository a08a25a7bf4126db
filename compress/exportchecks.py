"""Whether an exported file answers as the model does, and whether a quantized one gives numbers:
batches to export with, batches to check with, and the comparison. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from compress.artifact import Artifact
from compress.engine import Session
from compress.errors import ModelRefused, first_line
from compress.exportable import with_unequal_lengths
from compress.predict import split_by
from compress.stage import Context
from compress.task import Batch, Row, Task

TOLERANCE = 1e-3
"""A float export is refused if an output differs by this much or more. A BERT's outputs
differ by 4e-6."""
_ROWS = 8
"""Rows of the step's data that a quantized model is checked with."""


def traced_batch(task: Task[Any], artifact: Artifact) -> Batch:
    """The batch to export ``artifact`` with: two texts of different lengths, and a decoder's input
    of another length than the encoder's."""
    return with_unequal_lengths(_batch(task, artifact, task.samples()[1:3]))


def checked_batches(task: Task[Any], artifact: Artifact) -> list[Batch]:
    """Batches to check an export with, whose sizes and lengths are not those of the batch that it
    was made with: one short text, three texts, one long text. A decoder's input is longer than the
    encoder's, then shorter."""
    short, middle, *_, longest = task.samples()
    one, three, long = (
        _batch(task, artifact, rows) for rows in ([short], [short, short, middle], [longest])
    )
    return [
        with_unequal_lengths(one, "encoder_sequence_length"),
        with_unequal_lengths(three, "encoder_sequence_length"),
        with_unequal_lengths(long, "decoder_sequence_length"),
    ]


def refuse_difference(
    expected: Session,
    made: Session,
    batches: Iterable[Batch],
    of: str,
    failures: tuple[type[Exception], ...] = (ModelRefused,),
) -> None:
    """Raise ModelRefused where an output of ``made`` differs from that of ``expected``, the session
    ``of`` something, by TOLERANCE or more, is missing, or has another shape.

    A run of ``made`` that raises one of ``failures`` is refused too."""
    for batch in batches:
        want = expected.run(batch)
        try:
            got = made.run(batch)
        except failures as error:
            raise ModelRefused(
                f"what was exported does not run on a batch of {_size(batch)}, as {of} does: "
                f"{first_line(error)}"
            ) from error
        for name, value in want.items():
            problem = _difference(value, got.get(name), of)
            if problem:
                raise ModelRefused(
                    f"output {name!r} of a batch of {_size(batch)} {problem}; the model does not "
                    "export faithfully"
                )


def batches_of_rows(context: Context[Any], artifact: Artifact) -> list[Batch]:
    """A short row alone and some rows together, from the step's data; those that an export is
    checked with where there are no data."""
    rows = _rows(context)
    if not rows:
        return checked_batches(context.task, artifact)
    processor = context.task.processor(artifact.folder)
    features = sorted(context.task.features(rows, processor), key=context.task.length)
    # Examples of different groups cannot be in one batch; most are of one.
    groups = split_by([context.task.group(f) for f in features], features)
    features = max(groups, key=len)
    return [context.task.collate(part, processor) for part in (features[:1], features)]


def refuse_infinite(made: Session, batches: Iterable[Batch], stage: str, advice: str = "") -> None:
    """Raise ModelRefused where an output of what ``stage`` made is not finite. ``advice`` is what
    the user may try."""
    bad: set[str] = set()
    for batch in batches:
        outputs = made.run(batch)
        bad.update(name for name, value in outputs.items() if not np.isfinite(value).all())
    if bad:
        hint = f"; {advice}" if advice else ""
        raise ModelRefused(f"{stage}: outputs are not finite: {', '.join(sorted(bad))}{hint}")


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


def _rows(context: Context[Any]) -> Sequence[Row]:
    """Some rows of the first split that has any; empty if there is none."""
    if context.data is not None:
        for split in ("validation", "test", "train"):
            rows = context.data.rows(split)
            if rows:
                return rows[:_ROWS]
    return []


def _batch(task: Task[Any], artifact: Artifact, rows: Sequence[Row]) -> Batch:
    processor = task.processor(artifact.folder)
    return task.collate(task.features(rows, processor), processor)


def _size(batch: Batch) -> str:
    return "x".join(map(str, next(iter(batch.values())).shape))
