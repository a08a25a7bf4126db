"""Choose what to keep: pure functions of sizes and scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MULTIPLE = 8
"""Feed-forward widths are multiples of this. Matrix kernels of processors and GPUs work on
tiles; a width between two multiples costs as much as the larger one."""


def kept_width(width: int, share: float) -> int:
    """The number of neurons that stay when ``share`` (0 to 1) of ``width`` is removed.

    It is the nearest multiple of 8, but at least 8 and at most ``width``."""
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
