"""The report in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from compress.report.conditions import cost
from compress.report.headline import headline
from compress.report.remarks import absences, reference_text, remarks
from compress.report.tables.best import best_table
from compress.report.tables.changes import changes_table
from compress.report.tables.curves import curve_tables
from compress.report.tables.results import results_table
from compress.report.tables.table import as_table
from compress.report.views.plain import print_lines, print_table
from compress.report.views.summary import summary
from compress.results.report import Report
from compress.view import Section


def print_report(report: Report, console: Console, sections: Sequence[Section] = ()) -> None:
    """Print a sentence on the best step with its figures, the tables, the ``sections`` of plugins,
    what could not be measured, and what the numbers are against."""
    print_lines([f"{report.name} ({report.state})", headline(report)], console)
    print_table("", best_table(report), console)
    print_lines(summary(report), console)
    print_table("results", results_table(report), console)
    print_table("what each step changed", changes_table(report), console)
    for name, table in curve_tables(report):
        print_table(name, table, console)
    for section in sections:
        _print_section(section, console)
    print_lines(remarks(report), console)
    print_lines([f"not measured: {line}" for line in absences(report)], console)
    print_lines([f"{reference_text(report)} {cost(report)}".strip()], console)


def _print_section(section: Section, console: Console) -> None:
    print_lines(["", section.title, *section.lines], console)
    for table in section.tables:
        print_table(table.title, as_table(table), console)
