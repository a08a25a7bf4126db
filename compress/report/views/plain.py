"""Words and tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import rich.table
from rich.console import Console
from rich.text import Text

from compress.report.tables.table import Table
from compress.report.text import visible


def plain(words: str) -> Text:
    """Words as they are, without rich's markup and without escape codes for the terminal."""
    return Text(visible(words))


def print_lines(lines: Iterable[str], console: Console) -> None:
    """Print lines uncut. The terminal may wrap them."""
    for line in lines:
        console.print(plain(line), highlight=False, soft_wrap=True)


def print_table(
    title: str, table: Table, console: Console, justify: Literal["left", "center"] = "center"
) -> None:
    """Print a table: the first column on the left, numbers on the right."""
    shown = rich.table.Table(title=plain(title) if title else None, title_justify=justify)
    for i, header in enumerate(table.headers):
        shown.add_column(plain(header), justify="left" if i == 0 else "right")
    for row in table.rows:
        shown.add_row(*map(plain, row))
    console.print(shown)
