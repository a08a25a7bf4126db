"""Markdown in which text from outside stays text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from compress.report.tables.table import Table
from compress.report.text import visible

_LINKS = r"(?:(?<![a-z0-9_])@|@(?=[a-z0-9._-]*\.[a-z0-9])|:(?=//)|(?<=www)\.)+"
"""Characters by which code hosts make links of addresses and mention people (GitHub Flavored
Markdown 0.29, section 6.9). A backslash does not prevent it, but code does."""

_SPECIAL = re.compile(
    rf"(?P<link>{_LINKS})|(?P<mark>[\\`|\[\]*_#~])|[&<>]", re.IGNORECASE | re.ASCII
)


def escape(text: str) -> str:
    """``text`` so that Markdown shows it as it is, on one line, without links."""
    return _SPECIAL.sub(_harmless, " ".join(visible(str(text)).split()))


def _harmless(match: re.Match[str]) -> str:
    if match["link"]:
        return f"`{match['link']}`"
    return f"\\{match['mark']}" if match["mark"] else html.escape(match[0])


def md_table(table: Table) -> str:
    """A Markdown table of escaped cells."""
    rule = "|" + "---|" * len(table.headers)
    return "\n".join([_row(table.headers), rule, *map(_row, table.rows)])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(escape, cells))} |"


def bullets(lines: Iterable[str]) -> str:
    """A Markdown list of escaped lines; empty for none."""
    return "\n".join(f"- {escape(line)}" for line in lines)


def fenced(text: str, language: str) -> str:
    """A block of code whose fence is longer than any in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{visible(text).rstrip()}\n{fence}"
