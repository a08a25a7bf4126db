"""The table of results: what was measured of each artifact."""

from __future__ import annotations

from collections.abc import Iterable

from compress.measurement import Measurement
from compress.quantities import QUALITY
from compress.report.tables.table import Table
from compress.report.text import show
from compress.results.report import Report
from compress.results.step import StepResult


def results_table(report: Report) -> Table:
    """Each measured artifact with every measurement that has a title."""
    steps = [step for step in report.steps if step.measurements]
    # The recipe's own task comes first: it gives a column its title.
    columns = _columns(sorted(steps, key=lambda step: step.task != report.task.name))
    rows = [[step.name, *_cells(step, columns)] for step in steps]
    return Table(["step", *columns.values()], rows)


def _columns(steps: Iterable[StepResult]) -> dict[str, str]:
    """The title of each measurement that has one, by its name: first quality, then the others in
    the report's order."""
    titles: dict[str, str] = {}
    for step in steps:
        for name, m in step.measurements.items():
            if m.title:
                titles.setdefault(name, m.title)
    return dict(sorted(titles.items(), key=lambda column: column[0] != QUALITY))


def _cells(step: StepResult, columns: dict[str, str]) -> list[str]:
    return [_cell(step.measurements.get(name), title) for name, title in columns.items()]


def _cell(m: Measurement | None, title: str) -> str:
    """A value. If its title is not that of the column, as for the quality of another task, the
    title follows."""
    has_other_title = m is not None and m.value is not None and m.title and m.title != title
    return f"{show(m)} ({m.title})" if m and has_other_title else show(m)
