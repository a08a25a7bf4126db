"""The differences of two runs in a terminal and as a page that needs no network and runs
nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from compress.report.diff.table import heading, labels, option_lines, paired_table, step_table
from compress.report.views.plain import plain
from compress.report.views.template import template


def diff_page(found: Mapping[str, Any]) -> str:
    """The differences as an HTML page."""
    return template("diff.html").render(
        found=found, labels=labels(found), steps=list(_sections(found)), recipe=recipe_lines(found)
    )


def print_diff(found: Mapping[str, Any], console: Console) -> None:
    """Print a table for each step that both runs have, then the recipes' difference and the
    remarks."""
    for run, label in zip(found["runs"], labels(found), strict=True):
        _say(console, f"{label}: {run['folder']} ({run['state']})")
    for title, tables, lines in _sections(found):
        for i, (headers, rows) in enumerate(tables):
            _print_table(console, title if i == 0 else "", headers, rows)
        for line in lines:
            _say(console, f"  {line}")
    for line in recipe_lines(found):
        _say(console, line)
    for line in found["remarks"]:
        _say(console, f"note: {line}")


def recipe_lines(found: Mapping[str, Any]) -> list[str]:
    """The recipes' difference: ``-`` is the first run's, ``+`` the second's; overrides follow as
    ``--set``."""
    first, second = found["recipe"]["overrides"]
    return [
        *found["recipe"]["lines"],
        *(f"- --set {o}" for o in first),
        *(f"+ --set {o}" for o in second),
    ]


def _sections(
    found: Mapping[str, Any],
) -> Iterator[tuple[str, list[tuple[list[str], list[list[str]]]], list[str]]]:
    """(title, tables that have rows, lines) of each step that both runs have."""
    for step in found["steps"]:
        if step["in"] == "both":
            tables = [t for t in (step_table(step, labels(found)), paired_table(step)) if t[1]]
            yield heading(step), tables, option_lines(step)


def _print_table(console: Console, title: str, headers: list[str], rows: list[list[str]]) -> None:
    table = Table(title=plain(title) if title else None, title_justify="left")
    for i, header in enumerate(headers):
        table.add_column(plain(header), justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*map(plain, row))
    console.print(table)


def _say(console: Console, line: str) -> None:
    console.print(plain(line), highlight=False, soft_wrap=True)
