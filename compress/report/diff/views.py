"""The differences of two runs in a terminal and as a page that needs no network and runs
nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from compress.report.diff.table import heading, labels, option_lines, paired_table, step_table
from compress.report.diff.types import Difference
from compress.report.tables.table import Table
from compress.report.views.plain import print_lines, print_table
from compress.report.views.template import template


@dataclass(frozen=True)
class Section:
    """A step that both runs have: its tables that have rows, and lines below them. Without either,
    a line says so."""

    title: str
    tables: Sequence[Table]
    lines: Sequence[str]


def diff_page(difference: Difference) -> str:
    """The differences as an HTML page."""
    return template("diff.html").render(
        difference=difference,
        labels=labels(difference),
        steps=_sections(difference),
        recipe=recipe_lines(difference),
    )


def print_diff(difference: Difference, console: Console) -> None:
    """Print a table for each step that both runs have, then the recipes' difference and the
    remarks."""
    for run, label in zip(difference.runs, labels(difference), strict=True):
        print_lines([f"{label}: {run.folder} ({run.state})"], console)
    for section in _sections(difference):
        print_lines([section.title], console)
        for table in section.tables:
            print_table("", table, console)
        print_lines([f"  {line}" for line in section.lines], console)
    print_lines(recipe_lines(difference), console)
    print_lines([f"note: {line}" for line in difference.remarks], console)


def recipe_lines(difference: Difference) -> list[str]:
    """The recipes' difference: ``-`` is the first run's, ``+`` the second's; overrides follow as
    ``--set``."""
    first, second = difference.recipe.overrides
    return [
        *difference.recipe.lines,
        *(f"- --set {override}" for override in first),
        *(f"+ --set {override}" for override in second),
    ]


def _sections(difference: Difference) -> list[Section]:
    columns = labels(difference)
    sections = []
    for step in difference.in_both():
        tables = [table for table in (step_table(step, columns), paired_table(step)) if table.rows]
        lines = option_lines(step)
        if not tables and not lines:
            lines = ["nothing was measured in either run"]
        sections.append(Section(heading(step), tables, lines))
    return sections
