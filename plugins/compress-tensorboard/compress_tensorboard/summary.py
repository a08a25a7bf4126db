"""A report as points and as a table in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from compress.tracker import against_references


def measured(report: Mapping[str, Any]) -> Iterator[tuple[str, int, float]]:
    """(tag, place of the step in the run from 0, value) of every measurement that has a value, and
    of every comparison with the reference and with it in its fastest float engine; ``.low`` and
    ``.high`` after a name are the ends of its 95 % interval."""
    for index, step in enumerate(report["steps"]):
        against = {
            f"vs_{which}": of["comparisons"] for which, of in against_references(step).items()
        }
        for group, found in {"measured": step["measurements"], **against}.items():
            for name, m in found.items():
                ends = {"": m["value"], ".low": m["low"], ".high": m["high"]}
                yield from (
                    (f"{group}/{name}{end}", index, v) for end, v in ends.items() if v is not None
                )


def described(report: Mapping[str, Any]) -> str:
    """Which steps the points of a measurement are of."""
    return ", ".join(f"{index}: {step['name']}" for index, step in enumerate(report["steps"]))


def table(report: Mapping[str, Any]) -> str:
    """Every measurement of every step, and comparison with the reference and its fastest float
    engine, with its 95 % interval, or why it is absent."""
    rows = [
        [step["name"], name, _value(m), m["unit"]]
        for step in report["steps"]
        for name, m in (
            *step["measurements"].items(),
            *(
                (f"{n} vs {which}", m)
                for which, of in against_references(step).items()
                for n, m in of["comparisons"].items()
            ),
        )
    ]
    lines = [["step", "measurement", "value", "unit"], ["---"] * 4, *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _value(m: Mapping[str, Any]) -> str:
    if m["value"] is None:
        return f"absent: {m['absent']}"
    spread = (
        f" [{m['low']:.6g}, {m['high']:.6g}]"
        if m["low"] is not None and m["high"] is not None
        else ""
    )
    return f"{m['value']:.6g}{spread}"
