"""``report.md``: the report as a page that a code host shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compress.report.table import absences, changes_table, per_class, quantity, reference_text, remarks, results_table, show


def markdown(report: Mapping[str, Any]) -> str:
    """The report as GitHub-flavoured Markdown. Text from data and recipes is escaped."""
    parts = [f"# {_escape(report['name'])}", _summary(report), _table(*results_table(report))]
    if changes_table(report)[1]:
        parts.append("## What each step changed\n\n" + _table(*changes_table(report)))
    if remarks(report):
        parts.append("\n".join(f"- {_escape(line)}" for line in remarks(report)))
    if absences(report):
        parts.append("Not measured here:\n\n" + "\n".join(f"- {_escape(line)}" for line in absences(report)))
    recipe = "## Recipe\n\n" + _fenced(report["recipe"], "yaml")
    parts += [_conditions(report), _per_class(report), recipe, _environment(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(report: Mapping[str, Any]) -> str:
    text = f"State: {report['state']}. Every number was measured on the artifact as saved, reloaded in a fresh process."
    return f"{text} {_escape(reference_text(report))}".strip()


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(map(_escape, headers)) + " |", "|" + "---|" * len(headers)]
    return "\n".join(lines + ["| " + " | ".join(map(_escape, row)) + " |" for row in rows])


def _conditions(report: Mapping[str, Any]) -> str:
    lines = []
    for step in report["steps"]:
        for name, m in step["measurements"].items():
            if m["title"] and m["conditions"]:
                said = ", ".join(f"{k} {v}" for k, v in m["conditions"].items())
                lines.append(f"- {_escape(step['name'])} {_escape(name)} {show(m)}{_spread(m)}: {_escape(said)}")
    return "## How it was measured\n\n" + "\n".join(lines) if lines else ""


def _spread(m: Mapping[str, Any]) -> str:
    return f" [{quantity(m['low'], m['unit'])}, {quantity(m['high'], m['unit'])}]" if m["low"] is not None else ""


def _per_class(report: Mapping[str, Any]) -> str:
    parts = [f"### {_escape(name)}\n\n" + _table(*content) for name, content in per_class(report)]
    return "## By class\n\n" + "\n\n".join(parts) if parts else ""


def _environment(report: Mapping[str, Any]) -> str:
    env = report["environment"]
    lines = [f"- {env['processor']}, {env['threads']} threads, {quantity(env['memory_bytes'], 'bytes')} of memory",
             f"- {env['system']}, Python {env['python']}",
             "- " + ", ".join(f"{name} {version}" for name, version in env["versions"].items())]
    return "## Environment\n\n" + "\n".join(lines)


def _fenced(text: str, language: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _escape(text: str) -> str:
    out = str(text).replace("\n", " ")
    for char in "\\`|<>[]*_":
        out = out.replace(char, "\\" + char) if char not in "<>" else out.replace(char, "&lt;" if char == "<" else "&gt;")
    return out
