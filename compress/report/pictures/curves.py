"""Curves of any measurement as numbers that a template draws: a line for each step, with dashes and
marks of its own as well as a colour. All lengths are in the units of the picture's view box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compress.measurement import Point, value_text
from compress.report.pictures.fitting import SOFT, centred, shortened, width
from compress.report.pictures.scales import Scale, scale, some_of, ticks
from compress.report.tables.curves import Curves, StepCurve, compared_curves, curve_table, curves
from compress.report.tables.table import Table
from compress.report.text import number_text, spaced
from compress.results.report import Report

PLOT = (380.0, 260.0)
LEFT, RIGHT, TOP, BOTTOM = 66.0, 366.0, 12.0, 222.0
LOOKS = 8
"""Looks that a line may have; the ninth line has the first's colour and another mark."""

MARKS = ("circle", "square", "triangle", "diamond", "cross")
_CORNERS = {
    "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "triangle": ((0, -1.2), (1.1, 0.9), (-1.1, 0.9)),
    "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    "cross": ((-1, -1), (0, -0.3), (1, -1), (0.3, 0), (1, 1), (0, 0.3), (-1, 1), (-0.3, 0)),
}
_LOGARITHMIC_ACROSS = 4.0
_LOGARITHMIC_UPRIGHT = 10.0
_TICK_ROOM = LEFT - 6
"""Room for the text of a tick, left of the plot."""

Tick = tuple[float, str]
"""(place, text)."""


@dataclass(frozen=True)
class Line:
    """A step's curve. ``look`` is the number of its colour and dashes, ``path`` is SVG path data,
    ``points`` are the places of its marks, and ``spreads`` are the intervals as (x, y of the low
    end, y of the high end)."""

    label: str
    look: int
    mark: str
    path: str
    points: Sequence[tuple[float, float]]
    spreads: Sequence[tuple[float, float, float]]


@dataclass(frozen=True)
class Chart:
    """All curves of one measurement (or comparison), and the same numbers as a table. ``unit`` is
    the unit of the vertical ticks where they have no room for it, else empty."""

    title: str
    axis: str
    axis_shown: str
    unit: str
    scales: str
    lines: Sequence[Line]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    table: Table


def charts(report: Report) -> list[Chart]:
    """A chart for each measurement that has a curve with a value in it."""
    return _charts(curves(report))


def compared_charts(report: Report) -> list[Chart]:
    """A chart for each comparison that has a curve with a value in it, by the other artifact."""
    return _charts(compared_curves(report))


def mark_path(mark: str, x: float, y: float, r: float = 4.0) -> str:
    """SVG path data of a mark around (x, y)."""
    if mark == "circle":
        return f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z"
    return f"{_path([(x + dx * r, y + dy * r) for dx, dy in _CORNERS[mark]])}z"


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _charts(by_name: Curves) -> list[Chart]:
    charts = []
    for name, lines in by_name.items():
        if any(_points(line) for line in lines):
            charts.append(_chart(name, lines))
    return charts


def _chart(name: str, lines: Sequence[StepCurve]) -> Chart:
    places, heights = _numbers(lines)
    across = scale(places, LEFT, RIGHT, _LOGARITHMIC_ACROSS)
    upright = scale(heights, BOTTOM, TOP, _LOGARITHMIC_UPRIGHT)
    if not upright.logarithmic:
        upright = Scale(min(0.0, upright.low), upright.high, BOTTOM, TOP, False)
    axis = lines[0].curve.axis
    unit, y_ticks = _y_ticks(upright, lines[0].unit)
    return Chart(
        title=spaced(name),
        axis=axis,
        axis_shown=shortened(axis, PLOT[0], SOFT),
        unit=unit,
        scales=_scales_text(across, upright),
        lines=[_line(line, index, across, upright) for index, line in enumerate(lines)],
        x_ticks=[_x_tick(x, across) for x in some_of(places)],
        y_ticks=y_ticks,
        table=curve_table(lines),
    )


def _numbers(lines: Sequence[StepCurve]) -> tuple[list[float], list[float]]:
    """The places on the axis, each once and in order, and all values with the ends of their
    intervals."""
    places: set[float] = set()
    heights: list[float] = []
    for line in lines:
        for point in _points(line):
            places.add(point.x)
            ends = (point.value, point.low, point.high)
            heights += [number for number in ends if number is not None]
    return sorted(places), heights


def _scales_text(across: Scale, upright: Scale) -> str:
    """Which scales are logarithmic, in words."""
    scales = {"horizontal": across, "vertical": upright}
    logarithmic = [name for name, scale in scales.items() if scale.logarithmic]
    return f"logarithmic: {' and '.join(logarithmic)}" if logarithmic else ""


def _x_tick(x: float, across: Scale) -> Tick:
    return centred(across.place(x), number_text(x), PLOT[0], SOFT), number_text(x)


def _y_ticks(upright: Scale, unit: str) -> tuple[str, list[Tick]]:
    """(unit, ticks). If all ticks have room for their unit they show it, and the first part is
    empty."""
    texts = {y: value_text(y, unit) for y in ticks(upright)}
    if all(width(text, SOFT) <= _TICK_ROOM for text in texts.values()):
        return "", [(upright.place(y), text) for y, text in texts.items()]
    return unit, [(upright.place(y), number_text(y)) for y in texts]


def _line(line: StepCurve, index: int, across: Scale, upright: Scale) -> Line:
    places: list[tuple[float, float]] = []
    spreads: list[tuple[float, float, float]] = []
    for point in _points(line):
        x = across.place(point.x)
        if point.value is not None:
            places.append((x, upright.place(point.value)))
        if point.low is not None and point.high is not None:
            spreads.append((x, upright.place(point.low), upright.place(point.high)))
    path = _path(places) if places else ""
    return Line(line.step, index % LOOKS, MARKS[index % len(MARKS)], path, places, spreads)


def _points(line: StepCurve) -> list[Point]:
    """The points that have a value, from left to right."""
    valued = [point for point in line.curve.points if point.value is not None]
    return sorted(valued, key=lambda point: point.x)
