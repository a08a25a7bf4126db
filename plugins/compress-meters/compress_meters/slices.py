"""The headline metric of parts of the test split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

EDGES = (16, 32, 64, 128, 256, 512)
"""Lengths in tokens at which buckets end, the same for every artifact and task."""

Table = dict[str, dict[str, float]]


def by_length(lengths: Sequence[int], score: Callable[[np.ndarray], float], headline: str) -> Table:
    """The headline metric of each bucket of examples by their ``lengths`` in tokens, and
    the number of examples (``support``). ``score`` gives the metric of the examples at some
    places. Buckets without an example are left out."""
    bucket = np.searchsorted(EDGES, lengths)
    table = {}
    for i in np.unique(bucket).tolist():
        places = np.flatnonzero(bucket == i)
        table[_label(i)] = {headline: score(places), "support": float(len(places))}
    return table


def change(
    own: Mapping[str, Mapping[str, float]], other: Mapping[str, Mapping[str, float]]
) -> Table:
    """``own`` table minus ``other``, for the rows and cells that both have. ``support`` is
    that of ``own``."""
    return {row: _row_change(own[row], other[row]) for row in own if row in other}


def _row_change(own: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    changes = {}
    for name, value in own.items():
        if name in other:
            changes[name] = value if name == "support" else value - other[name]
    return changes


def _label(bucket: int) -> str:
    low = EDGES[bucket - 1] + 1 if bucket else 1
    return f"{low}-{EDGES[bucket]}" if bucket < len(EDGES) else f"{low} or more"
