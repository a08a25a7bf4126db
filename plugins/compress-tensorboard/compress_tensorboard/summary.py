"""A report as points and as a table in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def measured(report: Mapping[str, Any]) -> Iterator[tuple[str, int, float]]:
    """(tag, place of the step in the run from 0, value) of every measurement that has a value, and of every comparison with
    the reference; ``.low`` and ``.high`` after a name are the ends of its 95 % interval."""
    for index, step in enumerate(report["steps"]):
        for group, found in (("measured", step["measurements"]), ("vs_reference", _compared(step))):
            for name, m in found.items():
                ends = {"": m["value"], ".low": m["low"], ".high": m["high"]}
                yield from ((f"{group}/{name}{end}", index, v) for end, v in ends.items() if v is not None)


def described(report: Mapping[str, Any]) -> str:
    """Which steps the points of a measurement are of."""
    return ", ".join(f"{index}: {step['name']}" for index, step in enumerate(report["steps"]))


def table(report: Mapping[str, Any]) -> str:
    """Every measurement and comparison with the reference of every step with its 95 % interval, or why it is absent."""
    rows = [[step["name"], name, _value(m), m["unit"]] for step in report["steps"]
            for name, m in (*step["measurements"].items(), *((f"{n} vs reference", m) for n, m in _compared(step).items()))]
    lines = [["step", "measurement", "value", "unit"], ["---"] * 4, *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _compared(step: Mapping[str, Any]) -> Mapping[str, Any]:
    """The step's comparisons with the reference by name."""
    against = step["against_reference"]
    return against["comparisons"] if against else {}


def _value(m: Mapping[str, Any]) -> str:
    if m["value"] is None:
        return f"absent: {m['absent']}"
    spread = f" [{m['low']:.6g}, {m['high']:.6g}]" if m["low"] is not None and m["high"] is not None else ""
    return f"{m['value']:.6g}{spread}"
