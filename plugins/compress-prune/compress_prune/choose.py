"""Choose what to keep: pure functions of sizes and scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MULTIPLE = 8
"""Feed-forward widths are multiples of this. Matrix kernels of processors and GPUs work on
tiles; a width between two multiples costs as much as the larger one."""
TIMED_MULTIPLE = 32
"""The same where a latency is asked for: coarser, so that fewer widths are told apart than a
measurement can tell."""


def kept_width(width: int, share: float) -> int:
    """The number of neurons that stay when ``share`` (0 to 1) of ``width`` is removed.

    It is the nearest multiple of 8, but at least 8 and at most ``width``; all for a share of 0."""
    if share == 0:
        return width
    nearest = MULTIPLE * round(width * (1 - share) / MULTIPLE)
    return min(width, max(MULTIPLE, nearest))


def kept_units(units: int, share: float) -> int:
    """The number of heads, or groups of heads, that stay when ``share`` (0 to 1) of
    ``units`` is removed; at least one."""
    return max(1, round(units * (1 - share)))


def most_important(importance: Sequence[float] | np.ndarray, keep: int) -> list[int]:
    """Ascending indices of the ``keep`` largest scores; among equal scores the first
    stay."""
    # The sort is stable: equal scores keep their order, so that equal runs keep the same
    # units.
    order = np.argsort(-np.asarray(importance, dtype=np.float64), kind="stable")
    return sorted(int(i) for i in order[:keep])


def heads_of(groups: Sequence[int], group_size: int) -> list[int]:
    """Indices of the query heads in ``groups``; group g holds the ``group_size`` adjacent
    heads from g * ``group_size`` on."""
    heads: list[int] = []
    for group in groups:
        heads.extend(range(group * group_size, (group + 1) * group_size))
    return heads


def goes_whole(shared: int, group: int, share: float) -> bool:
    """Whether whole groups go, when ``share`` is removed from heads of which ``group`` share each
    of the ``shared`` key and value heads. Where that would be none, heads go from each group."""
    return group == 1 or kept_units(shared, share) < shared


def most_important_of_each(importance: np.ndarray, group: int, keep: int) -> list[int]:
    """Ascending indices of the heads with the largest scores, ``keep`` of each ``group`` adjacent
    heads."""
    heads: list[int] = []
    for start in range(0, len(importance), group):
        best = most_important(importance[start : start + group], keep)
        heads.extend(start + i for i in best)
    return heads
