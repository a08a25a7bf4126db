"""The first table of a report: the reference and the best step, side by side."""

from __future__ import annotations

from compress.report.best import best_step
from compress.report.tables.results import titles
from compress.report.tables.table import Table
from compress.report.text import value_cell
from compress.results.report import Report


def best_table(report: Report) -> Table:
    """Each measurement that has a title, of the reference and of the best step. It has no rows
    where there is no such pair."""
    reference, best = report.step(report.reference), best_step(report)
    if reference is None or best is None or best is reference:
        return Table(["", "", ""], [])
    rows = []
    for name, title in titles([reference, best]).items():
        pair = [value_cell(step.measurements.get(name)) for step in (reference, best)]
        rows.append([title, *pair])
    return Table(["", f"{reference.name} (reference)", best.name], rows)
