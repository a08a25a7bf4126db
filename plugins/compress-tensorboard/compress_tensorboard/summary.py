"""A report as points and as a table in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def measured(report: Mapping[str, Any]) -> Iterator[tuple[str, int, float]]:
    """(tag, place of the step in the run from 0, value) of every measurement that has a value."""
    for index, step in enumerate(report["steps"]):
        for name, m in step["measurements"].items():
            if m["value"] is not None:
                yield f"measured/{name}", index, m["value"]


def described(report: Mapping[str, Any]) -> str:
    """Which steps the points of a measurement are of."""
    return ", ".join(f"{index}: {step['name']}" for index, step in enumerate(report["steps"]))


def table(report: Mapping[str, Any]) -> str:
    """Every measurement of every step with its 95 % interval, or why it is absent."""
    rows = [[step["name"], name, _value(m), m["unit"]] for step in report["steps"]
            for name, m in step["measurements"].items()]
    lines = [["step", "measurement", "value", "unit"], ["---"] * 4, *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _value(m: Mapping[str, Any]) -> str:
    if m["value"] is None:
        return f"absent: {m['absent']}"
    spread = f" [{m['low']:.6g}, {m['high']:.6g}]" if m["low"] is not None and m["high"] is not None else ""
    return f"{m['value']:.6g}{spread}"
