"""Curves of any measurement as numbers that a template draws: a line for each step, told apart by
dashes and marks as well as by colour. All lengths are in the units of the picture's view box."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compress.measurement import quantity
from compress.report.detail import Cells, compared_curves, curve_table, curves
from compress.report.pictures.fitting import SOFT, centred, shortened, width
from compress.report.text import number

PLOT = (380.0, 260.0)
LEFT, RIGHT, TOP, BOTTOM = 66.0, 366.0, 12.0, 222.0
LOOKS = 8
"""Looks that a line may have; the ninth line has the first's colour and another mark."""

MARKS = ("circle", "square", "triangle", "diamond", "cross")
_LOGARITHMIC_ACROSS = 4.0
_LOGARITHMIC_UPRIGHT = 10.0
_TICKS = 6
_BESIDE = LEFT - 6
"""Room for the text of a tick, left of the plot."""


@dataclass(frozen=True)
class Line:
    """A step's curve: ``look`` numbers its colour and dashes, ``path`` is SVG path data, ``points``
    are the marks' places, ``spreads`` the intervals as (x, y of the low end, y of the high end)."""

    label: str
    look: int
    mark: str
    path: str
    points: Sequence[tuple[float, float]]
    spreads: Sequence[tuple[float, float, float]]


@dataclass(frozen=True)
class Chart:
    """All curves of one measurement (or comparison), and the same numbers as a table. Ticks are
    (place, text); ``unit`` is that of their numbers where it has no room beside them, else
    empty."""

    title: str
    axis: str
    axis_shown: str
    unit: str
    scales: str
    lines: Sequence[Line]
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    table: Cells


@dataclass(frozen=True)
class Scale:
    """From a number to its place between ``start`` and ``end``."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool

    def place(self, value: float) -> float:
        """Where the number stands; what is off the scale stands at its end."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(at)
        share = 0.5 if high == low else (at - low) / (high - low)
        return self.start + (self.end - self.start) * share


def charts(report: Mapping[str, Any]) -> list[Chart]:
    """A chart for each measurement name of which some step has a curve with a number in it."""
    return _charts(curves(report))


def compared_charts(report: Mapping[str, Any]) -> list[Chart]:
    """The same of comparisons, a chart for each name and what it is against."""
    return _charts(compared_curves(report))


def mark_path(mark: str, x: float, y: float, r: float = 4.0) -> str:
    """SVG path data of a mark around (x, y)."""
    if mark == "circle":
        return f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z"
    corners = {
        "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        "triangle": ((0, -1.2), (1.1, 0.9), (-1.1, 0.9)),
        "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
        "cross": ((-1, -1), (0, -0.3), (1, -1), (0.3, 0), (1, 1), (0, 0.3), (-1, 1), (-0.3, 0)),
    }[mark]
    return "M" + "L".join(f"{x + dx * r:.1f} {y + dy * r:.1f}" for dx, dy in corners) + "z"


def _charts(found: Mapping[str, list[tuple[str, Mapping[str, Any]]]]) -> list[Chart]:
    return [
        _chart(name, lines) for name, lines in found.items() if any(_points(m) for _, m in lines)
    ]


def _chart(name: str, found: list[tuple[str, Mapping[str, Any]]]) -> Chart:
    points = [p for _, m in found for p in _points(m)]
    places = sorted({p[0] for p in points})
    across = scale(places, LEFT, RIGHT, _LOGARITHMIC_ACROSS)
    upright = scale(
        [v for p in points for v in p[1:] if v is not None], BOTTOM, TOP, _LOGARITHMIC_UPRIGHT
    )
    if not upright.logarithmic:
        upright = Scale(min(0.0, upright.low), upright.high, BOTTOM, TOP, False)
    first = found[0][1]
    kept = (
        places
        if len(places) <= _TICKS
        else [places[round(i * (len(places) - 1) / (_TICKS - 1))] for i in range(_TICKS)]
    )
    logarithmic = [
        text for text, s in (("horizontal", across), ("vertical", upright)) if s.logarithmic
    ]
    axis = first["detail"]["curve"]["axis"]
    unit, y_ticks = _y_ticks(upright, first["unit"])
    return Chart(
        name.replace("_", " "),
        axis,
        shortened(axis, PLOT[0], SOFT),
        unit,
        f"logarithmic: {' and '.join(logarithmic)}" if logarithmic else "",
        [_line(whose, i, _points(m), across, upright) for i, (whose, m) in enumerate(found)],
        [(centred(across.place(x), number(x), PLOT[0], SOFT), number(x)) for x in kept],
        y_ticks,
        curve_table(found),
    )


def _y_ticks(upright: Scale, unit: str) -> tuple[str, list[tuple[float, str]]]:
    """(the unit where it is told elsewhere, the ticks): with their unit where all have room for
    it."""
    texts = {y: quantity(y, unit) for y in ticks(upright)}
    fits = all(width(text, SOFT) <= _BESIDE for text in texts.values())
    return ("" if fits else unit), [
        (upright.place(y), text if fits else number(y)) for y, text in texts.items()
    ]


def scale(numbers: Sequence[float], start: float, end: float, most: float) -> Scale:
    """The scale of the numbers: logarithmic where all are positive and the largest is over ``most``
    times the smallest."""
    low, high = min(numbers), max(numbers)
    return Scale(low, high, start, end, low > 0 and high > most * low)


def ticks(upright: Scale) -> list[float]:
    """Round numbers on the scale: 1, 2 and 5 times powers of ten."""
    low, high = upright.low, upright.high
    if high == low:
        return [low]
    if upright.logarithmic:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        factors = (1, 2, 5) if high / low < 100 else (1,)
        found = [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]
        return found if len(found) > 1 else [low, high]
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    gap = next(f * power for f in (1, 2, 5, 10) if (high - low) / (f * power) <= _TICKS)
    return [i * gap for i in range(math.ceil(low / gap), math.floor(high / gap) + 1)]


def _line(
    label: str, index: int, points: Sequence[Sequence[Any]], across: Scale, upright: Scale
) -> Line:
    places = [(across.place(p[0]), upright.place(p[1])) for p in points]
    spreads = [
        (across.place(x), upright.place(low), upright.place(high))
        for x, _, low, high in points
        if low is not None and high is not None
    ]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) if places else ""
    return Line(label, index % LOOKS, MARKS[index % len(MARKS)], path, places, spreads)


def _points(m: Mapping[str, Any]) -> list[Sequence[Any]]:
    """The points that have a number, from left to right."""
    return sorted(
        (p for p in m["detail"]["curve"]["points"] if p[1] is not None), key=lambda p: float(p[0])
    )
