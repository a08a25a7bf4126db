"""Rows that need not fit in memory: a sequence whose rows are made when they are read.

Rows lie in an Arrow file, in batches. A batch is read when one of its rows is wanted, and forgotten
after the next one. The file is read, not mapped into memory: mapped pages count as the process's
memory, and one row touches many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]
"""The cells of one row by column."""
Columns = Mapping[str, Sequence[Any]]
"""Cells by column: those of some rows, one after the other. All columns have one length."""

CHUNK = 1_000
"""Rows that are handled at once, and that a batch of a file holds. A row is read with its batch in
0.05 ms."""

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


class Picked(Lazy[T], Generic[T]):
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


class ArrowRows(Lazy[Row]):
    """The rows that ``write_rows`` wrote. With ``ids`` each has an ``id`` made of it and the row's
    number: ``train-0``."""

    def __init__(self, file: Path, ids: str | None = None) -> None:
        self.file, self.ids = file, ids
        self._newest: tuple[int, Any] = (-1, None)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def open(self) -> None:
        """Open the file, if that is not done yet. It can be deleted then."""
        self._places  # noqa: B018

    def item(self, index: int) -> Row:
        """The row at an index from 0 on."""
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        if self._newest[0] != number:
            self._newest = number, self._batch(number)
        place = index - int(self._starts[number])
        return self.rows_of(self._newest[1].slice(place, 1), index)[0]

    def __iter__(self) -> Iterator[Row]:
        for number, start in enumerate(self._starts[:-1].tolist()):
            yield from self.rows_of(self._batch(number), start)

    def chunks(self) -> Iterator[Columns]:
        """The columns of some rows at a time, in order. A column is read when it is asked for."""
        for number, start in enumerate(self._starts[:-1].tolist()):
            yield self.read(self._batch(number), start)

    def read(self, batch: pa.RecordBatch, start: int) -> Columns:
        """The columns of a batch of the file, whose first row is row ``start``."""
        makers: dict[str, Callable[[], Sequence[Any]]] = {
            name: column.to_pylist for name, column in zip(batch.schema.names, batch, strict=True)
        }
        if self.ids is not None:
            numbers = range(start, start + batch.num_rows)
            makers["id"] = lambda: [f"{self.ids}-{number}" for number in numbers]
        return _Made(makers)

    def rows_of(self, batch: pa.RecordBatch, start: int) -> Sequence[Row]:
        """The rows of a batch, whose first one is row ``start``."""
        return rows_in(self.read(batch, start))

    def _batch(self, number: int) -> pa.RecordBatch:
        reader, place = self._places[number]
        return reader.get_batch(place)

    @cached_property
    def _places(self) -> list[tuple[Any, int]]:
        """The reader of each batch, and its number there."""
        import pyarrow as pa

        places = []
        for file in _parts(self.file):
            if not file.is_file():
                break
            reader = pa.ipc.open_file(pa.OSFile(str(file)))
            places += [(reader, number) for number in range(reader.num_record_batches)]
        return places

    @cached_property
    def _starts(self) -> np.ndarray:
        """The number of each batch's first row, then that of all rows, int64."""
        sizes = [self._batch(number).num_rows for number in range(len(self._places))]
        return np.cumsum([0, *sizes])


class _Made(Columns):
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


class _Chosen(_Made):
    """Columns with only the rows at some ``places``."""

    def __init__(self, columns: Columns, places: Sequence[int]) -> None:
        def chosen(name: str) -> list[Any]:
            cells = columns[name]
            return [cells[place] for place in places]

        super().__init__({name: partial(chosen, name) for name in columns})


def renamed(columns: Columns, names: Mapping[str, str]) -> Columns:
    """``columns`` under new names: ``names`` maps each new name to the old one. Others are left
    out."""

    return _Made(
        {name: partial(columns.__getitem__, old) for name, old in names.items() if old in columns}
    )


def chunks(rows: Sequence[Row]) -> Iterator[Columns]:
    """The columns of some rows at a time, in order. A row that lacks a column of others has None
    there."""
    if isinstance(rows, Picked | ArrowRows):
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


def spooled(chunked: Iterable[Columns | pa.Table], kind: type[ArrowRows] = ArrowRows) -> ArrowRows:
    """The rows of the chunks, in a file that ends with them: it is deleted while it is open."""
    with TemporaryDirectory(prefix="compress-rows-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "rows.arrow"
        write_rows(file, chunked)
        rows = kind(file)
        rows.open()
    return rows


def write_rows(file: Path, chunked: Iterable[Columns | pa.Table]) -> ArrowRows:
    """Write rows for ``ArrowRows``, which comes back, and hold one chunk at a time: its columns, or
    an Arrow table. There is no file where there are no rows.

    Chunks whose types differ stand in files of their own, ``train.1.arrow`` beside
    ``train.arrow``."""
    import pyarrow as pa

    parts = _parts(file)
    writer: _Writer | None = None
    try:
        for chunk in chunked:
            table = chunk if isinstance(chunk, pa.Table) else _table(chunk)
            schema = table.schema if writer is None else _common(writer.schema, table.schema)
            if writer is None or writer.schema != schema:
                if writer is not None:
                    writer.close()
                writer = _Writer(next(parts), schema)
            writer.write(table.cast(schema))
    finally:
        if writer is not None:
            writer.close()
    return ArrowRows(file)


def _table(columns: Columns) -> pa.Table:
    import pyarrow as pa

    return pa.table({name: pa.array(cells) for name, cells in columns.items()})


def _common(written: pa.Schema, new: pa.Schema) -> pa.Schema:
    """The schema for new rows: what was written before where they fit it, else a wider one."""
    import pyarrow as pa

    if written.names != new.names:
        return new
    try:
        return pa.unify_schemas([written, new], promote_options="permissive")
    except pa.ArrowException:  # a text beside a number
        return new


class _Writer:
    """Writes an Arrow file."""

    def __init__(self, file: Path, schema: Any) -> None:
        import pyarrow as pa

        self.schema = schema
        self._sink = pa.OSFile(str(file), "wb")
        self._writer = pa.ipc.new_file(self._sink, schema)

    def write(self, table: Any) -> None:
        """Add rows."""
        self._writer.write_table(table, max_chunksize=CHUNK)

    def close(self) -> None:
        """End the file."""
        self._writer.close()
        self._sink.close()


def _parts(file: Path) -> Iterator[Path]:
    yield file
    for number in count(1):
        yield file.with_suffix(f".{number}{file.suffix}")
