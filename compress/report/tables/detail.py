"""What a report holds beyond its two main tables: every measurement, every comparison, and the
tables that any of them carries. No measurement is known by its name here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compress.measurement import Measurement, Rows
from compress.report.tables.table import Table
from compress.report.text import facts, number, show, shown_with_spread, spaced, spread
from compress.results.report import Report


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
    are compared."""

    whose: str
    table: Table


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
    return f"absent: {m.absent}" if m and m.absent else shown_with_spread(m)


def every_comparison(report: Report) -> Table:
    """Every comparison that has a value or a reason, a row each."""
    rows = []
    for one in comparisons(report):
        m = one.comparison
        more = m.absent or facts(m)
        rows.append([one.step, one.other, one.name, show(m), spread(m).strip(" []"), more])
    return Table(["step", "against", "comparison", "value", "95 % interval", "more"], rows)


def carried_tables(report: Report) -> dict[str, list[CarriedTable]]:
    """The tables that comparisons and measurements carry, by heading. Comparisons come first: they
    show what a step changed."""
    tables: dict[str, list[CarriedTable]] = {}
    for whose, name, m in _everything(report):
        for title, rows in m.tables.items():
            if rows:
                heading = f"{spaced(name)}, {title}"
                tables.setdefault(heading, []).append(CarriedTable(whose, _table(rows)))
    return tables


def _everything(report: Report) -> Iterator[tuple[str, str, Measurement]]:
    """(whose, name, measurement) of all comparisons, then of all measurements."""
    for one in comparisons(report):
        yield one.sides, one.name, one.comparison
    for step in report.steps:
        for name, m in step.measurements.items():
            yield step.name, name, m


def _table(rows: Rows) -> Table:
    columns: dict[str, None] = {}
    for row in rows.values():
        columns.update(dict.fromkeys(row))
    cells = []
    for label, row in rows.items():
        cells.append([label, *(number(row.get(column)) for column in columns)])
    return Table(["", *columns], cells)
