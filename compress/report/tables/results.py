"""The table of results: what was measured of each artifact."""

from __future__ import annotations

from collections.abc import Iterable

from compress.measurement import Measurement
from compress.quantities import QUALITY
from compress.report.tables.table import Table
from compress.report.text import value_cell
from compress.results.report import Report
from compress.results.step import StepResult


def results_table(report: Report) -> Table:
    """Each measured artifact with every measurement that has a title."""
    steps = [step for step in report.steps if step.measurements]
    # The recipe's own task comes first: it gives a column its title.
    columns = titles(sorted(steps, key=lambda step: step.task != report.task.name))
    own = report.task.name
    rows = [[step.name, *_cells(step, columns, own)] for step in steps]
    return Table(["step", *columns.values()], rows)


def titles(steps: Iterable[StepResult]) -> dict[str, str]:
    """The title of each measurement that has one, by its name: first quality, then the others in
    the report's order."""
    titles: dict[str, str] = {}
    for step in steps:
        for name, m in step.measurements.items():
            if m.title:
                titles.setdefault(name, m.title)
    return dict(sorted(titles.items(), key=lambda column: column[0] != QUALITY))


def _cells(step: StepResult, columns: dict[str, str], own: str) -> list[str]:
    """The cells of a step. A score of another task than the recipe's ``own`` names its task."""
    task = step.task if step.task != own else None
    return [_cell(step.measurements.get(name), title, task) for name, title in columns.items()]


def _cell(m: Measurement | None, title: str, task: str | None) -> str:
    """A value. Its title follows where it is not that of the column; else ``task`` follows a
    quality."""
    if m is None or m.value is None:
        return value_cell(m)
    if m.title and m.title != title:
        return f"{value_cell(m)} ({m.title})"
    return f"{value_cell(m)} ({task})" if task and m.name == QUALITY else value_cell(m)
