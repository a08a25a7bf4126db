"""Rows of a text file, kept in a file of their own while they are prepared: some rows at a time are
in memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from compress.rowfiles import spooled
from compress.rows import CHUNK, Columns, Lazy
from compress.source import Table

Numbered = Iterator[tuple[int, Sequence[Any]]]
"""The line on which a row starts, and the row's cells."""


class OtherWidth(Exception):
    """A row has not as many cells as there are columns."""


class Lines(Lazy[str]):
    """The places of rows in a file: its name and the line."""

    def __init__(self, path: Path) -> None:
        self.name, self.numbers = path.name, array("Q")

    def __len__(self) -> int:
        return len(self.numbers)

    def item(self, index: int) -> str:
        """The place of a row."""
        return f"{self.name}:{self.numbers[index]}"


def table_of(path: Path, names: Sequence[str], rows: Numbered) -> Table:
    """The rows of a file with columns of these names. Raises OtherWidth."""
    places = Lines(path)
    return Table(spooled(_columns(names, rows, places)), places)


def _columns(names: Sequence[str], rows: Numbered, places: Lines) -> Iterator[Columns]:
    """The columns of some rows at a time; their lines are added to ``places``."""
    while some := list(islice(rows, CHUNK)):
        lines, cells = zip(*some, strict=True)
        if set(map(len, cells)) != {len(names)}:
            raise OtherWidth
        places.numbers.extend(lines)
        yield dict(zip(names, zip(*cells, strict=True), strict=True))
