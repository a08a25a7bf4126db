"""Drawing some rows of a split by a seed."""

from __future__ import annotations

import hashlib
import heapq


def drawn(rows: int, count: int, split: str, seed: int) -> list[int]:
    """The numbers of ``count`` of so many ``rows``, in their order.

    Drawn are the rows whose number has the lowest sha256 together with the seed. So equal seeds
    draw equal rows with every version of Python, and a larger count draws the same rows and
    more."""
    return sorted(heapq.nsmallest(count, range(rows), key=lambda number: _lot(number, split, seed)))


def _lot(number: int, split: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{split}/{number}".encode()).digest()
