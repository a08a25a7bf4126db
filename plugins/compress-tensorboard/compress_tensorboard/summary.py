"""A report as points and as a table in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from compress.tracker import against_references


def measured(report: Mapping[str, Any]) -> Iterator[tuple[str, int, float]]:
    """(tag, index of the step in the run, value) of every measurement that has a value, and
    of every comparison with the reference and with it in its fastest float engine.

    ``.low`` and ``.high`` after a name are the ends of its 95 % interval."""
    for index, step in enumerate(report["steps"]):
        groups = {"measured": step["measurements"]}
        for which, of in against_references(step).items():
            groups[f"vs_{which}"] = of["comparisons"]
        for group, found in groups.items():
            for name, m in found.items():
                for end, value in (("", m["value"]), (".low", m["low"]), (".high", m["high"])):
                    if value is not None:
                        yield f"{group}/{name}{end}", index, value


def described(report: Mapping[str, Any]) -> str:
    """The names of the steps by index: a measurement has one point for each."""
    return ", ".join(f"{index}: {step['name']}" for index, step in enumerate(report["steps"]))


def table(report: Mapping[str, Any]) -> str:
    """A Markdown table of every measurement of every step and its comparisons with the
    reference and with it in its fastest float engine, with 95 % intervals, or why a value
    is absent."""
    lines = [_line("step", "measurement", "value", "unit"), _line(*["---"] * 4)]
    for step in report["steps"]:
        for name, m in step["measurements"].items():
            lines.append(_line(step["name"], name, _value(m), m["unit"]))
        for which, of in against_references(step).items():
            for name, m in of["comparisons"].items():
                lines.append(_line(step["name"], f"{name} vs {which}", _value(m), m["unit"]))
    return "\n".join(lines)


def _line(*cells: str) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return "| " + " | ".join(escaped) + " |"


def _value(m: Mapping[str, Any]) -> str:
    if m["value"] is None:
        return f"absent: {m['absent']}"
    if m["low"] is None or m["high"] is None:
        return f"{m['value']:.6g}"
    return f"{m['value']:.6g} [{m['low']:.6g}, {m['high']:.6g}]"
