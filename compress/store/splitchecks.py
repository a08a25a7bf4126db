"""What is wrong with a split as a whole, before any of its rows is read as an example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from compress.errors import Mistake
from compress.source import SPLITS, hint_without_labels
from compress.store.splits import Split
from compress.task import Column, Task

_UNLABELLED = (None, "", -1, "-1")
"""Cells of rows without a label. Data sets mark them by -1, the hub's among them."""


def split_mistakes(
    splits: Mapping[str, Split], task: Task[Any], declared: Sequence[str] | None
) -> list[Mistake]:
    """The mistakes of the splits: one that is not known or empty, a column that is missing, labels
    that are missing in every row. ``declared`` are the label names that the recipe states."""
    mistakes: list[Mistake] = []
    for name, split in splits.items():
        if name not in SPLITS:
            message, hint = f"there is no split {name!r}", f"splits are {', '.join(SPLITS)}"
            mistakes.append(Mistake("", message, hint))
        elif not len(split.rows):
            message = f"the {name} split is empty"
            mistakes.append(Mistake("", message, "it needs at least one row"))
        else:
            mistakes += _column_mistakes(split, splits, task, declared)
    return mistakes


def _column_mistakes(
    split: Split, splits: Mapping[str, Split], task: Task[Any], declared: Sequence[str] | None
) -> Iterator[Mistake]:
    for column in task.columns:
        first = next(_cells(split, column), None)
        if first is None:
            if column.required:
                message = f"the {split.name} split has no column {column.name!r}"
                yield Mistake(split.places[0], message, column.hint_where_missing(split.name))
        elif column.is_target and _is_unlabelled(split, column, splits, declared):
            shown = "empty" if first[0] in (None, "") else first[0]
            message = (
                f"the {split.name} split has no labels: {column.name} is {shown} in all of its "
                f"{len(split.rows)} rows"
            )
            yield Mistake("", message, hint_without_labels(split.name))


def _cells(split: Split, column: Column) -> Iterator[Sequence[Any]]:
    """The cells of a column, of some rows at a time, where any of these rows has it."""
    for columns in split.chunks():
        if column.name in columns:
            yield columns[column.name]


def _is_unlabelled(
    split: Split, column: Column, splits: Mapping[str, Split], declared: Sequence[str] | None
) -> bool:
    """Whether no cell holds a label. A -1 is a label where the recipe declares it, or where the
    training split has it beside others."""
    for cells in _cells(split, column):
        if not all(map(_is_blank, cells)):
            return False
    if "-1" in (declared or ()):
        return False
    if split.name == "train" or "train" not in splits:
        return True
    training = _cells(splits["train"], column)
    return not any(str(cell).strip() == "-1" for cells in training for cell in cells)


def _is_blank(cell: Any) -> bool:
    """Whether a cell holds no label: nothing, the mark -1, or a list of such cells that is not
    empty. An empty list says that none of several labels is right."""
    if isinstance(cell, list):
        return bool(cell) and all(map(_is_blank, cell))
    return (cell.strip() if isinstance(cell, str) else cell) in _UNLABELLED
