"""Choosing what to keep: pure functions of sizes and scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MULTIPLE = 8
"""Feed-forward widths are multiples of this: matrix kernels of processors and GPUs waste what is
left over."""


def kept_width(width: int, share: float) -> int:
    """Neurons that stay of ``width`` when ``share`` (0 to 1) is removed: the nearest multiple of 8.

    It is at least 8 and at most ``width``."""
    nearest = MULTIPLE * round(width * (1 - share) / MULTIPLE)
    return min(width, max(MULTIPLE, nearest))


def kept_units(units: int, share: float) -> int:
    """Units (heads, or groups of heads) that stay of ``units`` when ``share`` (0 to 1) is removed:
    one at least."""
    return max(1, round(units * (1 - share)))


def most_important(importance: Sequence[float] | np.ndarray, keep: int) -> list[int]:
    """Ascending indices of the ``keep`` largest scores; of equal scores the first stay."""
    order = np.argsort(-np.asarray(importance, dtype=np.float64), kind="stable")
    return sorted(int(i) for i in order[:keep])


def heads_of(groups: Sequence[int], group_size: int) -> list[int]:
    """Indices of the query heads in ``groups``, each of which holds ``group_size`` heads that stand
    side by side."""
    return [group * group_size + i for group in groups for i in range(group_size)]
