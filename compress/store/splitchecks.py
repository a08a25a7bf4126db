"""What is wrong with a split as a whole, before any of its rows is read as an example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from compress.errors import Mistake
from compress.source import SPLITS, Table, hint_without_labels
from compress.task import Column, Task

_UNLABELLED = (None, "", -1, "-1")
"""Cells of rows without a label. Data sets mark them by -1, the hub's among them."""


def split_mistakes(
    tables: Mapping[str, Table], task: Task[Any], declared: Sequence[str] | None
) -> list[Mistake]:
    """The mistakes of the splits: one that is not known or empty, a column that is missing, labels
    that are missing in every row. ``declared`` are the label names that the recipe states."""
    mistakes: list[Mistake] = []
    for split, table in tables.items():
        if split not in SPLITS:
            message, hint = f"there is no split {split!r}", f"splits are {', '.join(SPLITS)}"
            mistakes.append(Mistake("", message, hint))
        elif not table.rows:
            message = f"the {split} split is empty"
            mistakes.append(Mistake("", message, "it needs at least one row"))
        else:
            mistakes += _column_mistakes(split, tables, task, declared)
    return mistakes


def _column_mistakes(
    split: str, tables: Mapping[str, Table], task: Task[Any], declared: Sequence[str] | None
) -> Iterator[Mistake]:
    table = tables[split]
    for column in task.columns:
        cells = [row[column.name] for row in table.rows if column.name in row]
        if not cells:
            if column.required:
                message = f"the {split} split has no column {column.name!r}"
                yield Mistake(table.places[0], message, column.hint_where_missing(split))
        elif column.is_target and _is_unlabelled(split, column, cells, tables, declared):
            shown = "empty" if cells[0] in (None, "") else cells[0]
            message = (
                f"the {split} split has no labels: {column.name} is {shown} in all of its "
                f"{len(cells)} rows"
            )
            yield Mistake("", message, hint_without_labels(split))


def _is_unlabelled(
    split: str,
    column: Column,
    cells: Sequence[Any],
    tables: Mapping[str, Table],
    declared: Sequence[str] | None,
) -> bool:
    """Whether no cell holds a label. A -1 is a label where the recipe declares it, or where the
    training split has it beside others."""
    if not all(map(_is_blank, cells)) or "-1" in (declared or ()):
        return False
    if split == "train" or "train" not in tables:
        return True
    return "-1" not in {str(row.get(column.name)).strip() for row in tables["train"].rows}


def _is_blank(cell: Any) -> bool:
    """Whether a cell holds no label: nothing, the mark -1, or a list of such cells that is not
    empty. An empty list says that none of several labels is right."""
    if isinstance(cell, list):
        return bool(cell) and all(map(_is_blank, cell))
    return (cell.strip() if isinstance(cell, str) else cell) in _UNLABELLED
