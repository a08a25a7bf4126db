"""Whether the outputs of a quantized graph are numbers. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from compress.artifact import Artifact
from compress.engine import Session
from compress.errors import ModelRefused
from compress.exportchecks import checked_batches
from compress.predict import split_by
from compress.stage import Context
from compress.task import Batch, Row

ROWS = 8


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


def _rows(context: Context[Any]) -> Sequence[Row]:
    """Some rows of the first split that has any; empty if there is none."""
    if context.data is not None:
        for split in ("validation", "test", "train"):
            rows = context.data.rows(split)
            if rows:
                return rows[:ROWS]
    return []
