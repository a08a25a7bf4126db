"""Rows that need not fit in memory: sequences whose rows are made when they are read, and columns
of some rows at a time. ``compress.rowfiles`` keeps them in files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar, overload

import numpy as np

Row = Mapping[str, Any]
"""The cells of one row by column."""
Columns = Mapping[str, Sequence[Any]]
"""Cells by column: those of some rows, one after the other. All columns have one length."""

CHUNK = 1_000
"""Rows that are handled at once."""

T = TypeVar("T")


class Lazy(Sequence[T]):
    """A sequence whose items are made when they are read. It equals a sequence of equal items."""

    __hash__ = None  # type: ignore[assignment]

    def item(self, index: int) -> T:
        """The item at an index from 0 on."""
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self.item(i) for i in range(len(self))[index]]
        return self.item(range(len(self))[index])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(
            one == another for one, another in zip(self, other, strict=True)
        )


class Chunked(ABC):
    """What has rows that are read some at a time."""

    @abstractmethod
    def chunks(self) -> Iterator[Columns]:
        """The columns of some rows at a time, in order."""


class Picked(Lazy[T], Chunked, Generic[T]):
    """Some ``items`` of a sequence: those at ``indices``, which rise."""

    def __init__(self, items: Sequence[T], indices: Sequence[int] | np.ndarray) -> None:
        self.items, self.indices = items, np.asarray(indices, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def item(self, index: int) -> T:
        """The item at an index from 0 on."""
        return self.items[int(self.indices[index])]

    def __iter__(self) -> Iterator[T]:
        wanted = iter(self.indices.tolist())
        place = next(wanted, None)
        for index, item in enumerate(self.items):  # one after the other is how a file is read best
            if place is None:
                return
            if index == place:
                yield item
                place = next(wanted, None)

    def chunks(self) -> Iterator[Columns]:
        """The columns of some rows at a time, in order; for items that are rows."""
        start = 0
        for columns in chunks(self.items):  # type: ignore[arg-type]
            end = start + length_of(columns)
            first, after = np.searchsorted(self.indices, (start, end))
            if first < after:
                yield _Chosen(columns, (self.indices[first:after] - start).tolist())
            start = end


class Mapped(Lazy[Row], Chunked):
    """The rows that a function makes of other ``rows``, one of each."""

    def __init__(self, function: Callable[[Row], Row], rows: Sequence[Row]) -> None:
        self.function, self.rows = function, rows

    def __len__(self) -> int:
        return len(self.rows)

    def item(self, index: int) -> Row:
        """The row at an index from 0 on."""
        return self.function(self.rows[index])

    def __iter__(self) -> Iterator[Row]:
        return map(self.function, self.rows)

    def chunks(self) -> Iterator[Columns]:
        """The columns of some rows at a time, in order."""
        for columns in chunks(self.rows):
            yield columns_of([self.function(row) for row in rows_in(columns)])


class MadeColumns(Columns):
    """Columns that are made when they are asked for, and kept."""

    def __init__(self, makers: Mapping[str, Callable[[], Sequence[Any]]]) -> None:
        self._makers, self._kept = makers, dict[str, Sequence[Any]]()

    def __getitem__(self, name: str) -> Sequence[Any]:
        if name not in self._kept:
            self._kept[name] = self._makers[name]()
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


class _Chosen(MadeColumns):
    """Columns with only the rows at some ``places``."""

    def __init__(self, columns: Columns, places: Sequence[int]) -> None:
        def chosen(name: str) -> list[Any]:
            cells = columns[name]
            return [cells[place] for place in places]

        super().__init__({name: partial(chosen, name) for name in columns})


def renamed(columns: Columns, names: Mapping[str, str]) -> Columns:
    """``columns`` under new names: ``names`` maps each new name to the old one. Others are left
    out."""

    return MadeColumns(
        {name: partial(columns.__getitem__, old) for name, old in names.items() if old in columns}
    )


def chunks(rows: Sequence[Row]) -> Iterator[Columns]:
    """The columns of some rows at a time, in order. A row that lacks a column of others has None
    there."""
    if isinstance(rows, Chunked):
        yield from rows.chunks()
        return
    for start in range(0, len(rows), CHUNK):
        yield columns_of(rows[start : start + CHUNK])


def columns_of(rows: Sequence[Row]) -> Columns:
    """The rows by column. A row that lacks a column of others has None there."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def rows_in(columns: Columns) -> list[dict[str, Any]]:
    """The rows of some columns."""
    names = list(columns)
    cells = zip(*(columns[name] for name in names), strict=True)
    return [dict(zip(names, row, strict=True)) for row in cells]


def length_of(columns: Columns) -> int:
    """The number of rows."""
    return len(next(iter(columns.values()), ()))
