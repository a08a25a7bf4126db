"""The splits of a source as a task reads them: its own columns, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from compress.errors import UsageError
from compress.rows import Columns, Picked, Row, chunks, renamed
from compress.source import Source, Table
from compress.store.drawing import drawn
from compress.task import Task


@dataclass(frozen=True)
class Split:
    """The rows of one split. ``names`` maps the task's columns to the source's, and ``label_names``
    gives the names for the label numbers of a column of the task. ``in_source`` counts the rows
    that the source has."""

    name: str
    rows: Sequence[Row]
    places: Sequence[str]
    names: Mapping[str, str]
    label_names: Mapping[str, Sequence[str]]
    in_source: int

    def chunks(self) -> Iterator[Columns]:
        """The task's columns of some rows at a time, with names in place of label numbers."""
        for columns in chunks(self.rows):
            own = renamed(columns, self.names)
            named = [column for column in self.label_names if column in own]
            yield own if not named else {**own, **self._with_names(own, named)}

    def _with_names(self, columns: Columns, named: Sequence[str]) -> Columns:
        made = {}
        for column in named:
            names = self.label_names[column]
            made[column] = [_name_of(cell, names) for cell in columns[column]]
        return made

    def drawn(self, count: int | None, seed: int) -> Split:
        """The split with ``count`` of its rows, or itself where it has no more."""
        if count is None or count >= len(self.rows):
            return self
        some = drawn(len(self.rows), count, self.name, seed)
        return replace(self, rows=Picked(self.rows, some), places=Picked(self.places, some))


def read_splits(source: Source[Any], task: Task[Any], more: Sequence[str] = ()) -> dict[str, Split]:
    """The splits of a source by name, with the columns of a task, and ``more``. Raises UsageError
    for label names that do not fit those that the recipe declares."""
    options = source.options
    splits = {}
    for name, table in source.read().items():
        mapped = options.columns_of(name)
        wanted = [*(column.name for column in task.columns), *more]
        names = {name: mapped.get(name, name) for name in wanted}
        label_names = _label_names(table, names, options.labels)
        splits[name] = Split(name, table.rows, table.places, names, label_names, len(table.rows))
    return splits


def known_labels(splits: Mapping[str, Split]) -> Sequence[str] | None:
    """Label names in the order of the source; None if the source has no names."""
    for split in splits.values():
        for names in split.label_names.values():
            return list(names)
    return None


def _label_names(
    table: Table, names: Mapping[str, str], declared: Sequence[str] | None
) -> dict[str, Sequence[str]]:
    """The names for the label numbers of each column of the task."""
    found = {}
    for column, other in names.items():
        if other in table.label_names:
            own = [name.strip() for name in table.label_names[other]]
            found[column] = _names_to_use(own, declared)
    return found


def _names_to_use(names: Sequence[str], declared: Sequence[str] | None) -> Sequence[str]:
    """Names for the label numbers: the source's, unless the recipe declares other names for the
    same numbers.

    Declared labels that hold all of the source's names only state their order. Raises UsageError if
    they hold some of them."""
    lacking = [name for name in names if name not in (declared or names)]
    if not declared or not lacking:
        return names
    if len(lacking) < len(names):
        raise UsageError(
            f"labels: the data call their labels {', '.join(names)}, and {', '.join(lacking)} "
            "is not declared"
        )
    return declared


def _name_of(cell: Any, names: Sequence[str]) -> Any:
    """The name of a label number, or of each number in a list; other cells as they are."""
    if isinstance(cell, list):
        return [_name_of(value, names) for value in cell]
    is_number = isinstance(cell, int) and not isinstance(cell, bool)
    if is_number and 0 <= cell < len(names):
        return names[cell] or cell
    return cell
