"""Rows as a table in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console

from compress.report.tables.table import Table
from compress.report.views.plain import print_table


def print_rows(rows: Sequence[Mapping[str, object]], console: Console) -> None:
    """Print rows as a table; their keys are its headings."""
    if rows:
        cells = [list(map(_cell, row.values())) for row in rows]
        print_table("", Table(list(rows[0]), cells), console, sentences=True)


def _cell(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
