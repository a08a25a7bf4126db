"""What a report holds beyond its two main tables: every measurement, every comparison, and the
tables that any of them carries. No measurement is known by its name here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from compress.measurement import Direction, Measurement, Rows
from compress.quantities import QUALITY
from compress.report.tables.table import Table
from compress.report.text import (
    detail_text,
    interval_text,
    number_text,
    spaced,
    value_cell,
    value_with_interval,
)
from compress.results.report import Report

_MANY = 20
"""A table with more rows, such as one with a row for each of many classes, is put in order and
folded."""
_SHOWN = 10
"""Rows of such a table that are shown first."""
_Order = Callable[[Mapping[str, float | None]], float]
"""Sort key of a row."""


@dataclass(frozen=True)
class Compared:
    """One comparison of a step with another artifact."""

    step: str
    other: str
    name: str
    comparison: Measurement

    @property
    def sides(self) -> str:
        """Which two artifacts are compared, in words."""
        return f"{self.step} against {self.other}"


@dataclass(frozen=True)
class CarriedTable:
    """A table that a measurement or a comparison carries; ``whose`` names the step, or the two that
    are compared. ``rest`` are the rows that a view may fold, where there are many."""

    whose: str
    table: Table
    rest: Sequence[list[str]] = ()


def comparisons(report: Report) -> Iterator[Compared]:
    """Every comparison of a step with another artifact, once: the step before may also be the
    reference."""
    for step in report.steps:
        others = {against.name: against.comparisons for against in step.compared_with()}
        for other, measurements in others.items():
            for name, m in measurements.items():
                yield Compared(step.name, other, name, m)


def every_measurement(report: Report) -> Table:
    """Every measurement by step, with its interval; where it could not be taken, the reason."""
    steps = [step for step in report.steps if step.measurements]
    rows = []
    for name in _measurement_names(report):
        rows.append([name, *(_cell(step.measurements.get(name)) for step in steps)])
    return Table(["measurement", *(step.name for step in steps)], rows)


def _measurement_names(report: Report) -> list[str]:
    names: dict[str, None] = {}
    for step in report.steps:
        names.update(dict.fromkeys(step.measurements))
    return list(names)


def _cell(m: Measurement | None) -> str:
    return f"absent: {m.absent}" if m and m.absent else value_with_interval(m)


def every_comparison(report: Report) -> Table:
    """Every comparison that has a value or a reason, a row each."""
    rows = []
    for one in comparisons(report):
        m = one.comparison
        more = m.absent or detail_text(m)
        rows.append(
            [one.step, one.other, one.name, value_cell(m), interval_text(m).strip(" []"), more]
        )
    return Table(["step", "against", "comparison", "value", "95 % interval", "more"], rows)


def carried_tables(report: Report) -> dict[str, list[CarriedTable]]:
    """The tables that comparisons and measurements carry, by heading. Comparisons come first: they
    show what a step changed. In a long table the worst rows come first, or those that changed
    most."""
    tables: dict[str, list[CarriedTable]] = {}
    for one in comparisons(report):
        _collect(
            tables, one.sides, one.name, one.comparison, _most_changed(_score(one.step, report))
        )
    for step in report.steps:
        for name, m in step.measurements.items():
            _collect(tables, step.name, name, m, _worst(_score(step.name, report), m.direction))
    return tables


def _score(step: str, report: Report) -> str:
    """The name of a step's headline score, which may be a column of its tables."""
    found = report.step(step)
    quality = found.measurements.get(QUALITY) if found else None
    return quality.title if quality else ""


def _collect(
    tables: dict[str, list[CarriedTable]], whose: str, name: str, m: Measurement, order: _Order
) -> None:
    """Add the tables of a measurement. A long one is put in order and folded."""
    for title, rows in m.tables.items():
        if not rows:
            continue
        many = len(rows) > _MANY
        labels = sorted(rows, key=lambda label: order(rows[label])) if many else list(rows)
        table = _table({label: rows[label] for label in labels})
        shown = _SHOWN if many else len(rows)
        carried = CarriedTable(whose, Table(table.headers, table.rows[:shown]), table.rows[shown:])
        tables.setdefault(f"{spaced(name)}, {title}", []).append(carried)


def _worst(score: str, direction: Direction) -> _Order:
    """An order that puts the row with the worst number first."""
    sign = -1.0 if direction == "lower" else 1.0
    return lambda row: sign * _number_of(row, score, missing=sign * float("inf"))


def _most_changed(score: str) -> _Order:
    """An order that puts the row with the largest change first."""
    return lambda row: -abs(_number_of(row, score, missing=0.0))


def _number_of(row: Mapping[str, float | None], score: str, missing: float) -> float:
    """The number of a row in the column of the score, else in its first column."""
    value = row.get(score, next(iter(row.values()), None))
    return missing if value is None else value


def _table(rows: Rows) -> Table:
    columns: dict[str, None] = {}
    for row in rows.values():
        columns.update(dict.fromkeys(row))
    cells = []
    for label, row in rows.items():
        cells.append([label, *(number_text(row.get(column)) for column in columns)])
    return Table(["", *columns], cells)
