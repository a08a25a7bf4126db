"""``report.md``: the report as a page that a code host shows."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compress.measurement import quantity
from compress.report.detail import (
    Cells,
    conditions,
    cost,
    curve_tables,
    every_comparison,
    every_measurement,
    tables,
)
from compress.report.tables import absences, changes_table, reference_text, remarks, results_table
from compress.report.text import visible


def markdown(report: Mapping[str, Any]) -> str:
    """The report as GitHub-flavoured Markdown. Text from data and recipes is escaped."""
    parts = [f"# {escape(report['name'])}", _summary(report), md_table(*results_table(report))]
    if changes_table(report)[1]:
        parts.append("## What each step changed\n\n" + md_table(*changes_table(report)))
    if remarks(report):
        parts.append(bullets(remarks(report)))
    if absences(report):
        parts.append("Not measured here:\n\n" + bullets(absences(report)))
    parts += [
        _section("Curves", curve_tables(report)),
        _section("By class and other tables", _each(tables(report))),
        "## Every measurement\n\n" + md_table(*every_measurement(report)),
    ]
    if every_comparison(report)[1]:
        parts.append("## Every comparison\n\n" + md_table(*every_comparison(report)))
    if conditions(report):
        parts.append("## How it was measured\n\n" + bullets(conditions(report)))
    parts += ["## Recipe\n\n" + fenced(report["recipe"], "yaml"), _environment(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def md_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of escaped cells."""
    lines = ["| " + " | ".join(map(escape, headers)) + " |", "|" + "---|" * len(headers)]
    return "\n".join(lines + ["| " + " | ".join(map(escape, row)) + " |" for row in rows])


def bullets(lines: Iterable[str]) -> str:
    """A Markdown list of escaped lines."""
    return "\n".join(f"- {escape(line)}" for line in lines)


def fenced(text: str, language: str) -> str:
    """A block of code whose fence is longer than any in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{visible(text).rstrip()}\n{fence}"


_LINKS = r"(?:(?<![a-z0-9_])@|@(?=[a-z0-9._-]*\.[a-z0-9])|:(?=//)|(?<=www)\.)+"
"""What makes code hosts link addresses and name people without any markup (GitHub Flavored Markdown
0.29, section 6.9). They look for it in text, whose escapes are then gone, and never in code."""

_MEANT = re.compile(rf"(?P<link>{_LINKS})|(?P<mark>[\\`|\[\]*_#~])|[&<>]", re.IGNORECASE | re.ASCII)


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line, and of which no part becomes a link."""
    return _MEANT.sub(_harmless, " ".join(visible(str(text)).split()))


def _harmless(found: re.Match[str]) -> str:
    if found["link"]:
        return f"`{found['link']}`"
    return f"\\{found['mark']}" if found["mark"] else html.escape(found[0])


def _summary(report: Mapping[str, Any]) -> str:
    text = f"State: {report['state']}. Every number was measured on the artifact as saved, reloaded in a fresh process."
    return f"{text} {escape(reference_text(report))} {escape(cost(report))}"


def _section(heading: str, found: Sequence[tuple[str, Cells]]) -> str:
    parts = [f"### {escape(name)}\n\n" + md_table(*content) for name, content in found]
    return f"## {heading}\n\n" + "\n\n".join(parts) if parts else ""


def _each(found: Sequence[tuple[str, Sequence[tuple[str, Cells]]]]) -> list[tuple[str, Cells]]:
    return [
        (f"{heading}: {whose}", content)
        for heading, contents in found
        for whose, content in contents
    ]


def _environment(report: Mapping[str, Any]) -> str:
    env = report["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in env["versions"].items())
    return "## Environment\n\n" + bullets(
        [
            *env.get("gpus", ()),
            f"{env['processor']}, {env['threads']} threads, "
            f"{quantity(env['memory_bytes'], 'bytes')} of memory",
            f"{env['system']}, Python {env['python']}",
            versions,
        ]
    )
