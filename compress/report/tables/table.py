"""A table of text cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from compress.view import SectionTable


class Table(NamedTuple):
    """Headers, and rows of as many cells."""

    headers: list[str]
    rows: list[list[str]]


def from_columns(columns: Sequence[tuple[str, list[str]]]) -> Table:
    """A table of columns, each a header and its cells."""
    headers = [header for header, _ in columns]
    cells = [column for _, column in columns]
    return Table(headers, [list(row) for row in zip(*cells, strict=True)])


def as_table(table: SectionTable) -> Table:
    """The table of a plugin's section."""
    return Table(list(table.headers), [list(row) for row in table.rows])
