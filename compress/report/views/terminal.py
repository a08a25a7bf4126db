"""The report in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from compress.report.detail import cost, curve_tables
from compress.report.tables import absences, changes_table, reference_text, remarks, results_table
from compress.report.views.plain import plain


def _print_table(
    console: Console, title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    table = Table(title=plain(title))
    for i, header in enumerate(headers):
        table.add_column(plain(header), justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*map(plain, row))
    console.print(table)


def print_report(report: Mapping[str, Any], console: Console) -> None:
    """Print the results table, what could not be measured, and what the numbers are against."""
    _print_table(console, f"{report['name']} ({report['state']})", *results_table(report))
    if changes_table(report)[1]:
        _print_table(console, "what each step changed", *changes_table(report))
    for name, content in curve_tables(report):
        _print_table(console, name, *content)
    for line in remarks(report):
        console.print(plain(line), highlight=False, soft_wrap=True)
    for line in absences(report):
        console.print(plain(f"not measured: {line}"), highlight=False, soft_wrap=True)
    console.print(
        plain(f"{reference_text(report)} {cost(report)}".strip()), highlight=False, soft_wrap=True
    )
