"""The rows that JSON values are, and files with a value a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import Mistake, UsageError
from compress.rowfiles import ArrowRows, spooled
from compress.rows import CHUNK, Columns, Row, columns_of
from compress.source import Table
from compress_sources.files import told
from compress_sources.json_text import Item, value_of_line
from compress_sources.spooling import Lines

if TYPE_CHECKING:
    import pyarrow as pa

SHAPES = "a file is one list of rows, one row a line, or one object with a list for each split"
_KINDS: dict[type, str] = {dict: "an object", list: "a list"}


class JsonRows(ArrowRows):
    """Rows that are kept as the JSON texts that they were read from: their values have types of
    their own, which columns would not keep."""

    def rows_of(self, batch: pa.RecordBatch, start: int) -> list[Row]:
        """The rows of a batch."""
        return [row_of(json.loads(text)) for text in batch.column(0).to_pylist()]

    def read(self, batch: pa.RecordBatch, start: int) -> Columns:
        """The columns of a batch."""
        return columns_of(self.rows_of(batch, start))


def table_of_lines(path: Path, lines: Iterable[str]) -> Table:
    """One row for each line that is not blank. Raises UsageError with a Mistake for each that is
    none."""
    places = Lines(path)
    return Table(spooled(_texts(path, lines, places), JsonRows), places)


def _texts(path: Path, lines: Iterable[str], places: Lines) -> Iterator[Columns]:
    """The texts of some rows at a time, up to the first line that is no row."""
    rows = RowChecks(path)
    texts: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if rows.is_row((number, value_of_line(line, number, str(path), SHAPES))):
            texts.append(line)
            places.numbers.append(number)
        if len(texts) == CHUNK:
            yield {"json": texts}
            texts = []
    rows.raise_mistakes()
    if texts:
        yield {"json": texts}


class RowChecks:
    """Tells rows from other values, whose mistakes are kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first: Any = None
        self._mistakes: list[Mistake] = []

    def is_row(self, item: Item) -> bool:
        """Whether a value is a row beside those before it."""
        line, value = item
        complaint = "" if isinstance(value, Mistake) else _complaint(value, self._first)
        if isinstance(value, Mistake):
            self._mistakes.append(value)
        elif complaint:
            self._mistakes.append(Mistake(f"{self._path}:{line}", complaint, SHAPES))
        else:
            self._first = value if self._first is None else self._first
            return True
        return False

    def raise_mistakes(self) -> None:
        """Raise UsageError with the mistakes, if there are any."""
        if self._mistakes:
            raise UsageError(told(self._mistakes, any_row_fits=self._first is not None))


def row_of(value: dict[str, Any] | list[Any]) -> dict[str, Any]:
    """The row with its columns by name; the items of a list are numbered."""
    return value if isinstance(value, dict) else {str(i): item for i, item in enumerate(value)}


def _complaint(value: Any, first: Any) -> str:
    """Why a value is no row beside the ``first`` one; empty if it is one."""
    if not isinstance(value, dict | list):
        return f"a row is an object or a list, not {type(value).__name__}"
    if first is None or (isinstance(value, dict) and isinstance(first, dict)):
        return ""
    if type(value) is not type(first):
        return f"a row is {_KINDS[type(first)]}, as the first one is, not {_KINDS[type(value)]}"
    if len(value) != len(first):
        return f"{len(value)} items where the first row has {len(first)}"
    return ""
