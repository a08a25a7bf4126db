"""Rows given to a task one by one, as tests think of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compress.rows import chunks, columns_of, rows_in
from compress.task import Row, Task


def normalised(task: Task[Any], row: Row, labels: Sequence[str]) -> Row:
    """A row as prepared data hold it."""
    (made,) = rows_in(task.normalise(columns_of([row]), labels))
    return made


def labels_of(
    task: Task[Any], splits: Mapping[str, Sequence[Row]], declared: Sequence[str] | None
) -> list[str]:
    """The labels of the rows of each split."""
    return task.labels({split: chunks(rows) for split, rows in splits.items()}, declared)
