"""The curves that measurements and comparisons carry, and the same numbers as tables. No
measurement is known by its name here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compress.measurement import Curve, Measurement, Point, value_text
from compress.report.tables.detail import comparisons
from compress.report.tables.table import Table
from compress.report.text import NOTHING, ends_text, number_text, spaced
from compress.results.report import Report


@dataclass(frozen=True)
class StepCurve:
    """The curve of one measurement of a step, with the unit of its values."""

    step: str
    unit: str
    curve: Curve

    def at(self, x: float) -> Point | None:
        """The point at a place of the axis."""
        return next((point for point in self.curve.points if point.x == x), None)


Curves = dict[str, list[StepCurve]]
"""Curves by the name of what was measured."""


def curves(report: Report) -> Curves:
    """The curves of measurements by their names."""
    by_name: Curves = {}
    for step in report.steps:
        for name, m in step.measurements.items():
            _collect(by_name, name, step.name, m)
    return by_name


def compared_curves(report: Report) -> Curves:
    """The curves of comparisons by their names and the artifact that they compare with."""
    by_name: Curves = {}
    for one in comparisons(report):
        _collect(by_name, f"{one.name} against {one.other}", one.step, one.comparison)
    return by_name


def _collect(by_name: Curves, name: str, step: str, m: Measurement) -> None:
    curve = m.curve
    if curve is not None:
        by_name.setdefault(name, []).append(StepCurve(step, m.unit, curve))


def curve_tables(report: Report) -> list[tuple[str, Table]]:
    """(heading, table) of the curves of each name."""
    by_name = {**curves(report), **compared_curves(report)}
    return [(spaced(name), curve_table(lines)) for name, lines in by_name.items()]


def curve_table(lines: Sequence[StepCurve]) -> Table:
    """The curves of one measurement as a table: a row for each place on the axis, a column for each
    step."""
    places: set[float] = set()
    for line in lines:
        places.update(point.x for point in line.curve.points)
    rows = []
    for x in sorted(places):
        rows.append([number_text(x), *(_cell(line.at(x), line.unit) for line in lines)])
    return Table([lines[0].curve.axis, *(line.step for line in lines)], rows)


def _cell(point: Point | None, unit: str) -> str:
    if point is None or point.value is None:
        return NOTHING
    return value_text(point.value, unit) + ends_text(point.low, point.high, unit)
