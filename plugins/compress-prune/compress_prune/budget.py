"""Spend one budget on several parts of a model, so that the least importance is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np


@dataclass(frozen=True)
class Part:
    """What gets a size of its own: the ``sizes`` that it can have, ascending, and the importance
    that each of them loses."""

    sizes: Sequence[int]
    losses: Sequence[float]


def part_of(importance: np.ndarray, step: int) -> Part:
    """A part whose units have these scores. It can keep any multiple of ``step`` of them, the most
    important ones, or all."""
    units = len(importance)
    sizes = sorted({*range(step, units, step), units})
    lost = np.concatenate([[0.0], np.cumsum(np.sort(importance))])
    return Part(sizes, [float(lost[units - size]) for size in sizes])


def least_loss(parts: Sequence[Part], budget: int) -> list[int] | None:
    """A size for each part, together at most ``budget``, with the least sum of losses; None if even
    the smallest are more. Of equal sums, the one with the smaller first sizes.

    A knapsack with one choice of each part, solved exactly by dynamic programming over what the
    parts so far have taken."""
    unit = gcd(*(size for part in parts for size in part.sizes))
    room = budget // unit
    best = np.zeros(room + 1)  # the least loss with at most so much, of the parts so far
    chosen = []
    for part in parts:
        options = np.full((len(part.sizes), room + 1), np.inf)
        for row, size, loss in zip(options, part.sizes, part.losses, strict=True):
            taken = size // unit
            if taken <= room:
                row[taken:] = best[: room + 1 - taken] + loss
        choice = options.argmin(axis=0)
        chosen.append(choice)
        best = options[choice, np.arange(room + 1)]
    if not np.isfinite(best[room]):
        return None
    sizes = []
    for part, choice in zip(reversed(parts), reversed(chosen), strict=True):
        sizes.append(part.sizes[choice[room]])
        room -= sizes[-1] // unit
    return sizes[::-1]
