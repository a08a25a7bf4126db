"""Rows in Arrow files: written some at a time, and made when they are read.

A file holds batches of ``CHUNK`` rows. A batch is read when one of its rows is wanted, in 0.05 ms,
and forgotten after the next one. The file is read, not mapped into memory: mapped pages count as
the process's memory, and one row touches many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from compress.rows import CHUNK, Chunked, Columns, Lazy, MadeColumns, Row, rows_in

if TYPE_CHECKING:
    import pyarrow as pa


class ArrowRows(Lazy[Row], Chunked):
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
        return MadeColumns(makers)

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
