"""The headline metric of parts of the test split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

EDGES = (16, 32, 64, 128, 256, 512)
"""Lengths in tokens at which buckets end, the same for every artifact and task."""

Table = dict[str, dict[str, float]]


def by_length(lengths: Sequence[int], score: Callable[[np.ndarray], float], headline: str) -> Table:
    """``score`` of the places of each bucket of examples by their ``lengths`` in tokens, under the
    name ``headline``, and how many they are; buckets without an example are left out."""
    bucket = np.searchsorted(EDGES, lengths)
    table = {}
    for i in np.unique(bucket).tolist():
        places = np.flatnonzero(bucket == i)
        table[_label(i)] = {headline: score(places), "support": float(len(places))}
    return table


def change(
    own: Mapping[str, Mapping[str, float]], other: Mapping[str, Mapping[str, float]]
) -> Table:
    """``own`` table minus ``other``, cell by cell of the rows that both have; ``support`` is
    own."""
    return {
        row: {
            name: value if name == "support" else value - other[row][name]
            for name, value in cells.items()
            if name in other[row]
        }
        for row, cells in own.items()
        if row in other
    }


def _label(bucket: int) -> str:
    low = EDGES[bucket - 1] + 1 if bucket else 1
    return f"{low}-{EDGES[bucket]}" if bucket < len(EDGES) else f"{low} or more"
