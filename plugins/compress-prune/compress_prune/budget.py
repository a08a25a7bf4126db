"""Spend one budget on several parts of a model, so that the least importance is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np


@dataclass(frozen=True)
class Part:
    """What gets a size of its own: the ``sizes`` that it can have, ascending, the importance that
    each of them loses, and what each costs of the budget, from 0."""

    sizes: Sequence[int]
    losses: Sequence[float]
    costs: Sequence[int]


def sizes_of(units: int, step: int) -> list[int]:
    """The sizes of a part of so many units: any multiple of ``step`` of them, or all."""
    return sorted({*range(step, units, step), units})


def losses_of(importance: np.ndarray, sizes: Sequence[int]) -> list[float]:
    """The importance that is lost where so many units stay, the most important ones. Where a part
    has fewer, it keeps all."""
    lost = np.concatenate([[0.0], np.cumsum(np.sort(importance))])
    return [float(lost[max(len(importance) - size, 0)]) for size in sizes]


def part_of(importance: np.ndarray, step: int) -> Part:
    """A part whose units have these scores, and cost 1 each."""
    sizes = sizes_of(len(importance), step)
    return Part(sizes, losses_of(importance, sizes), sizes)


def least_loss(parts: Sequence[Part], budget: int) -> list[int] | None:
    """A size for each part, together at most ``budget``, with the least sum of losses; None if even
    the smallest are more. Of equal sums, the one with the smaller first sizes.

    A knapsack with one choice of each part, solved exactly by dynamic programming over what the
    parts so far have taken."""
    unit = gcd(*(cost for part in parts for cost in part.costs)) or 1
    room = budget // unit
    if room < 0:
        return None
    best = np.zeros(room + 1)  # the least loss with at most so much, of the parts so far
    chosen = []
    for part in parts:
        options = np.full((len(part.sizes), room + 1), np.inf)
        for row, cost, loss in zip(options, part.costs, part.losses, strict=True):
            taken = cost // unit
            if taken <= room:
                row[taken:] = best[: room + 1 - taken] + loss
        choice = options.argmin(axis=0)
        chosen.append(choice)
        best = options[choice, np.arange(room + 1)]
    if not np.isfinite(best[room]):
        return None
    sizes = []
    for part, choice in zip(reversed(parts), reversed(chosen), strict=True):
        number = choice[room]
        sizes.append(part.sizes[number])
        room -= part.costs[number] // unit
    return sizes[::-1]
