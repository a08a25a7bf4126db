"""Prepared data: a source's rows, normalised for a task and checked once, stored as parquet with
their labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from compress.errors import Mistake, UsageError
from compress.source import SPLITS, Source, Table
from compress.task import Row, RowError, Task

_SHOWN = 20
_META = "data.json"


@dataclass(frozen=True)
class Prepared:
    """Data in a folder; ``digest`` identifies the content."""

    folder: Path
    digest: str
    _cache: dict[str, list[Row]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def meta(self) -> Mapping[str, Any]:
        """``labels`` in order and ``sizes`` by split."""
        values: dict[str, Any] = json.loads((self.folder / _META).read_text(encoding="utf-8"))
        return values

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in order; empty for a task without labels."""
        return tuple(self.meta["labels"])

    def rows(self, split: str) -> list[Row]:
        """Rows of a split with their ``id``; empty where there is no such split."""
        if split not in self._cache:
            file = self.folder / f"{split}.parquet"
            self._cache[split] = pq.read_table(file).to_pylist() if file.is_file() else []
        return self._cache[split]


def prepare(source: Source[Any], task: Task[Any], folder: Path) -> None:
    """Write the prepared data of ``source`` for ``task`` into ``folder``.

    Raises UsageError with a Mistake for each row that cannot be used, each split that is empty,
    each column missing."""
    options = source.options
    tables = {
        split: _named(_renamed(table, options.columns, task), options.labels)
        for split, table in source.read().items()
    }
    mistakes = [m for split, table in tables.items() for m in _shape_mistakes(split, table, task)]
    if mistakes:
        raise UsageError(mistakes)
    try:
        labels = task.labels(
            {s: t.rows for s, t in tables.items()}, _declared(options.labels, tables, task)
        )
    except RowError as error:
        raise UsageError(str(error)) from error
    sizes = {}
    for split, table in tables.items():
        rows = _normalised(split, table, task, labels, mistakes)
        sizes[split] = len(rows)
        if not mistakes:
            pq.write_table(
                pa.Table.from_pylist(rows), folder / f"{split}.parquet", compression="zstd"
            )
    if mistakes:
        more = (
            [Mistake("data", f"{len(mistakes) - _SHOWN} more rows like these")]
            if len(mistakes) > _SHOWN
            else []
        )
        raise UsageError(mistakes[:_SHOWN] + more)
    text = json.dumps({"labels": labels, "sizes": sizes}, indent=2, ensure_ascii=False)
    (folder / _META).write_text(text + "\n", encoding="utf-8")


def _renamed(table: Table, columns: Mapping[str, str], task: Task[Any]) -> Table:
    """The task's columns of the table under their names; one that is mapped is taken from there
    alone."""
    theirs = {column.name: columns.get(column.name, column.name) for column in task.columns}
    rows = [
        {name: row[other] for name, other in theirs.items() if other in row} for row in table.rows
    ]
    labels = {
        name: [label.strip() for label in table.label_names[other]]
        for name, other in theirs.items()
        if other in table.label_names
    }
    return Table(rows, table.places, labels)


def _named(table: Table, declared: Sequence[str] | None) -> Table:
    """The table with names for the label numbers of columns that have names for them; a name may be
    a number itself.

    Declared labels hold those names in the order that is wanted, or are other names for the same
    numbers. Raises UsageError where they hold some of the names only."""
    rows = table.rows
    for column, names in table.label_names.items():
        lacking = [name for name in names if name not in (declared or names)]
        if lacking and len(lacking) < len(names):
            raise UsageError(
                f"labels: the data call their labels {', '.join(names)}, and {', '.join(lacking)} "
                "is not "
                "declared"
            )
        called = declared if lacking and declared else names
        rows = [
            {**row, column: _name_of(row[column], called)} if column in row else row for row in rows
        ]
    return Table(rows, table.places, table.label_names)


def _name_of(cell: Any, names: Sequence[str]) -> Any:
    if isinstance(cell, list):
        return [_name_of(value, names) for value in cell]
    is_number = isinstance(cell, int) and not isinstance(cell, bool)
    return names[cell] or cell if is_number and 0 <= cell < len(names) else cell


def _shape_mistakes(split: str, table: Table, task: Task[Any]) -> list[Mistake]:
    if split not in SPLITS:
        return [Mistake("", f"there is no split {split!r}", f"splits are {', '.join(SPLITS)}")]
    if not table.rows:
        return [Mistake("", f"the {split} split is empty", "it needs at least one row")]
    missing = [
        c.name for c in task.columns if c.required and not any(c.name in row for row in table.rows)
    ]
    return [
        Mistake(
            table.places[0],
            f"the {split} split has no column {name!r}",
            f"map it with data.columns: {{{name}: ...}}",
        )
        for name in missing
    ]


def _declared(
    labels: Sequence[str] | None, tables: Mapping[str, Table], task: Task[Any]
) -> Sequence[str] | None:
    """Label names as the recipe states them, else as the source does."""
    if labels is not None:
        return labels
    known = {column.name for column in task.columns}
    for table in tables.values():
        for column, names in table.label_names.items():
            if column in known:
                return list(names)
    return None


def _normalised(
    split: str, table: Table, task: Task[Any], labels: Sequence[str], mistakes: list[Mistake]
) -> list[Row]:
    rows: list[Row] = []
    for i, (row, place) in enumerate(zip(table.rows, table.places, strict=True)):
        try:
            rows.append({**task.normalise(row, labels), "id": f"{split}-{i}"})
        except RowError as error:
            mistakes.append(Mistake(place, f"row {i} of {split}: {error}"))
    return rows
