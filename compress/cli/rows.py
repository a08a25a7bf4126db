"""Rows as a table in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compress.report.views.plain import plain


def print_rows(rows: Sequence[Mapping[str, object]], console: Console) -> None:
    """Print rows as a table; their keys are its headings."""
    if not rows:
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for i, key in enumerate(rows[0]):
        table.add_column(plain(key), no_wrap=i == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    console.print(table)


def _cell(value: object) -> Text:
    return plain(", ".join(value) if isinstance(value, list) else str(value))
