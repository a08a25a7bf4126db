"""Scales: from a number to its place, and the round numbers that label an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_TICKS = 6
"""The most ticks of an axis."""


@dataclass(frozen=True)
class Scale:
    """From a number to its place between ``start`` and ``end``."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool

    def place(self, value: float) -> float:
        """The place of a number. A number off the scale is placed at its end."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(at)
        share = 0.5 if high == low else (at - low) / (high - low)
        return self.start + (self.end - self.start) * share


def scale(numbers: Sequence[float], start: float, end: float, most: float) -> Scale:
    """The scale of the numbers. It is logarithmic if all are positive and the largest is more than
    ``most`` times the smallest."""
    low, high = min(numbers), max(numbers)
    return Scale(low, high, start, end, low > 0 and high > most * low)


def ticks(upright: Scale) -> list[float]:
    """Round numbers on the scale: 1, 2 and 5 times powers of ten."""
    low, high = upright.low, upright.high
    if high == low:
        return [low]
    return _logarithmic_ticks(low, high) if upright.logarithmic else _even_ticks(low, high)


def _logarithmic_ticks(low: float, high: float) -> list[float]:
    factors = (1, 2, 5) if high / low < 100 else (1,)
    candidates = []
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        candidates += [factor * 10.0**power for factor in factors]
    inside = [tick for tick in candidates if low <= tick <= high]
    return inside if len(inside) > 1 else [low, high]


def _even_ticks(low: float, high: float) -> list[float]:
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    gaps = [factor * power for factor in (1, 2, 5, 10)]
    gap = next(gap for gap in gaps if (high - low) / gap <= _TICKS)
    return [i * gap for i in range(math.ceil(low / gap), math.floor(high / gap) + 1)]


def some_of(places: Sequence[float]) -> list[float]:
    """The places that get a label: all if they are few, else some of them, evenly spread."""
    if len(places) <= _TICKS:
        return list(places)
    return [places[round(i * (len(places) - 1) / (_TICKS - 1))] for i in range(_TICKS)]
