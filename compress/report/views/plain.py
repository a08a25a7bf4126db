"""Words and tables for a terminal of any width. No character of a table is cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import rich.table
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from compress.report.tables.table import Table
from compress.report.text import visible

_GAP = 3
"""Characters between two columns."""
_READABLE = 20
"""A column of sentences is at least as wide, if its sentences are."""


def plain(words: str) -> Text:
    """Words as they are, without rich's markup and without escape codes for the terminal."""
    return Text(visible(words))


def print_lines(lines: Iterable[str], console: Console) -> None:
    """Print lines uncut. The terminal may wrap them."""
    for line in lines:
        console.print(plain(line), highlight=False, soft_wrap=True)


def print_table(title: str, table: Table, console: Console, *, sentences: bool = False) -> None:
    """Print a table below its title, and nothing for a table without rows: the first column on the
    left, the others on the right.

    A console that is too narrow for the columns gets one block a row, with a line for each cell.
    With ``sentences`` the cells may be broken between words, and all columns are on the left."""
    if not table.rows:
        return
    console.print()
    if title:
        console.print(plain(title), highlight=False, style="bold", soft_wrap=True)
    columns = _columns(table)
    least = [_least_width(column, breaks=sentences and i > 0) for i, column in enumerate(columns)]
    room = console.width - _GAP * (len(columns) - 1) - sum(least)
    if room >= 0:
        _print_columns(table, _widened(least, columns, room), console, sentences=sentences)
    else:
        _print_blocks(table, console)


def _columns(table: Table) -> list[list[str]]:
    """The columns as they are shown, each with its header first."""
    columns = zip(table.headers, *table.rows, strict=True)
    return [[visible(cell) for cell in column] for column in columns]


def _least_width(column: Sequence[str], *, breaks: bool) -> int:
    """The least width of a column. Its header is broken between words only, and so are its cells if
    it ``breaks``."""
    header, *cells = column
    widths = [1, *map(cell_len, header.split())]
    for cell in cells:
        if breaks:
            widths += [*map(cell_len, cell.split()), min(cell_len(cell), _READABLE)]
        else:
            widths.append(cell_len(cell))
    return max(widths)


def _widened(least: Sequence[int], columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """The widths with the room that is left, given first to the columns that lack the least."""
    widths = list(least)
    lacking = [
        max(map(cell_len, column)) - width for column, width in zip(columns, least, strict=True)
    ]
    for i in sorted(range(len(widths)), key=lambda i: lacking[i]):
        more = max(0, min(lacking[i], room))
        widths[i] += more
        room -= more
    return widths


def _print_columns(
    table: Table, widths: Sequence[int], console: Console, *, sentences: bool
) -> None:
    """Print a table with columns of these widths."""
    shown = rich.table.Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for i, (header, width) in enumerate(zip(table.headers, widths, strict=True)):
        on_left = sentences or i == 0
        shown.add_column(
            plain(header), justify="left" if on_left else "right", width=width, overflow="fold"
        )
    for row in table.rows:
        shown.add_row(*map(plain, row))
    console.print(shown, highlight=False)


def _print_blocks(table: Table, console: Console) -> None:
    """Print each row as a block: each cell after its header, and all but the first at an
    indent."""
    for first, *others in table.rows:
        _print_hanging(": ".join(filter(None, [table.headers[0], first])), 0, console)
        for header, cell in zip(table.headers[1:], others, strict=True):
            if cell:
                _print_hanging(f"{header}: {cell}", 2, console)


def _print_hanging(text: str, indent: int, console: Console) -> None:
    """Print a text at an indent, and its further lines at a deeper one."""
    deeper = indent + 2
    lines = plain(text).wrap(console, max(1, console.width - deeper), overflow="fold")
    for i, line in enumerate(lines):
        line.rstrip()
        line.pad_left(deeper if i else indent)
        console.print(line, highlight=False, soft_wrap=True)
