"""``report.md``: the report as a page that a code host shows."""

from __future__ import annotations

from collections.abc import Sequence

from compress.measurement import value_text
from compress.report.conditions import condition_lines, cost
from compress.report.headline import headline
from compress.report.recipe import recipe_as_run
from compress.report.remarks import absences, reference_text, remarks
from compress.report.tables.best import best_table
from compress.report.tables.changes import changes_table
from compress.report.tables.curves import curve_tables
from compress.report.tables.data import data_tables
from compress.report.tables.detail import carried_tables, every_comparison, every_measurement
from compress.report.tables.results import results_table
from compress.report.tables.table import Table, as_table
from compress.report.views.escaped import bullets, escape, fenced, md_table
from compress.report.views.summary import summary
from compress.results.report import Environment, Report
from compress.view import Section


def markdown(report: Report, sections: Sequence[Section] = ()) -> str:
    """The report as GitHub-flavoured Markdown, with the ``sections`` of plugins. Text from data,
    recipes and plugins is escaped."""
    not_measured = absences(report)
    parts = [
        f"# {escape(report.name)}",
        f"**{escape(headline(report))}**",
        _rows(best_table(report)),
        bullets(summary(report)),
        _origin(report),
        _section("Results", _rows(results_table(report))),
        _section("What each step changed", _rows(changes_table(report))),
        bullets(remarks(report)),
        "Not measured here:\n\n" + bullets(not_measured) if not_measured else "",
        *map(_added, sections),
        _section("Data", _titled(data_tables(report))),
        _section("Curves", _titled(curve_tables(report))),
        _section("By class and other tables", _carried(report)),
        _section("Every measurement", _rows(every_measurement(report))),
        _section("Every comparison", _rows(every_comparison(report))),
        _section("How it was measured", bullets(condition_lines(report))),
        _section("Recipe", fenced(recipe_as_run(report), "yaml")),
        _section("Environment", bullets(_environment(report.environment))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _origin(report: Report) -> str:
    text = (
        f"State: {escape(report.state)}. Every number was measured on the artifact as saved, "
        "reloaded in a fresh process."
    )
    return f"{text} {escape(reference_text(report))} {escape(cost(report))}"


def _section(heading: str, content: str) -> str:
    """A section; empty where it has no content."""
    return f"## {heading}\n\n{content}" if content else ""


def _rows(table: Table) -> str:
    """A table; empty where it has no rows."""
    return md_table(table) if table.rows else ""


def _titled(tables: list[tuple[str, Table]]) -> str:
    """Tables one below the other, each with its heading."""
    parts = [f"### {escape(name)}\n\n{md_table(table)}" for name, table in tables]
    return "\n\n".join(parts)


def _carried(report: Report) -> str:
    """The tables that measurements carry, each with the rows that come first."""
    parts = []
    for heading, contents in carried_tables(report).items():
        for one in contents:
            parts.append(f"### {escape(f'{heading}: {one.whose}')}\n\n{md_table(one.table)}")
            if one.rest:
                parts.append(f"And {len(one.rest)} more: report.html shows all.")
    return "\n\n".join(parts)


def _added(section: Section) -> str:
    """A section of a plugin."""
    parts = [f"## {escape(section.title)}", bullets(section.lines)]
    for table in section.tables:
        parts.append(f"### {escape(table.title)}" if table.title else "")
        parts.append(_rows(as_table(table)))
    return "\n\n".join(part for part in parts if part)


def _environment(environment: Environment) -> list[str]:
    memory = value_text(environment.memory_bytes, "bytes")
    versions = [f"{name} {version}" for name, version in environment.versions.items()]
    return [
        *environment.gpus,
        f"{environment.processor}, {environment.threads} threads, {memory} of memory",
        f"{environment.system}, Python {environment.python}",
        ", ".join(versions),
    ]
