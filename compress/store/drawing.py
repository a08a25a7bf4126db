"""Drawing some rows of a split by a seed."""

from __future__ import annotations

import hashlib
import heapq

from compress.source import Table


def draw(table: Table, count: int | None, split: str, seed: int) -> Table:
    """``count`` rows of the table in their order, or the table itself where it has no more.

    Drawn are the rows whose number has the lowest sha256 together with the seed. So equal seeds
    draw equal rows with every version of Python, and a larger count draws the same rows and
    more."""
    if count is None or count >= len(table.rows):
        return table
    numbers = range(len(table.rows))
    drawn = sorted(heapq.nsmallest(count, numbers, key=lambda number: _lot(number, split, seed)))
    rows = [table.rows[number] for number in drawn]
    return Table(rows, [table.places[number] for number in drawn], table.label_names)


def _lot(number: int, split: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{split}/{number}".encode()).digest()
