"""Rows of the step's data as batches of one. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compress.artifact import Artifact
from compress.stage import Context
from compress.task import Batch
from compress_onnx.calibration import Examples


def examples(context: Context[Any], artifact: Artifact, split: str, count: int) -> Examples:
    """Random rows of a ``split``, one in each batch: padding would count as input. There are none
    without data."""
    rows = context.data.rows(split) if context.data is not None else []
    generator = np.random.default_rng(context.seed)
    drawn = np.sort(generator.permutation(len(rows))[:count])
    task, processor = context.task, context.task.processor(artifact.folder)

    def batches() -> Iterator[Batch]:
        for number in drawn:
            for features in task.features([rows[int(number)]], processor):
                yield task.collate([features], processor)

    return batches
