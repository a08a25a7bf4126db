"""The results table that every view shows, as text cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compress.report.build import titled

_BYTES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def results_table(report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(headers, rows) of the report's steps: each measurement with a title, then speed and size against the reference."""
    steps = [s for s in report["steps"] if s["measurements"]]
    columns = titled(steps)
    headers = ["step", *(title for _, title in columns), *_comparison_headers(report)]
    return headers, [_row(step, columns, report) for step in steps]


def _comparison_headers(report: Mapping[str, Any]) -> list[str]:
    return [f"speed vs {report['reference']}", "speed vs fastest float", "size vs reference"] if report["reference"] else []


def _row(step: Mapping[str, Any], columns: Sequence[tuple[str, str]], report: Mapping[str, Any]) -> list[str]:
    cells = [step["name"]]
    for name, _ in columns:
        cells.append(show(step["measurements"].get(name)))
    if report["reference"]:
        cells += [_speed(step["against_reference"], step), _speed(step["against_fastest"], step), _size(step)]
    return cells


def show(measurement: Mapping[str, Any] | None) -> str:
    """A value with its unit; an en dash where it does not apply, ``absent`` where it could not be measured."""
    if measurement is None:
        return "–"
    if measurement["value"] is None:
        return "absent"
    return quantity(measurement["value"], measurement["unit"])


def quantity(value: float, unit: str) -> str:
    """A value for people: bytes and counts in thousands, shares with one decimal of a percent."""
    if unit == "bytes":
        return next((f"{value / size:.1f} {name}" for name, size in _BYTES if value >= size), f"{value:.0f} B")
    if unit == "parameters":
        return f"{value / 1e6:.2f} M" if value >= 1e5 else f"{value:.0f}"
    if unit == "share":
        return f"{100 * value:.1f} %"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f} {unit}".strip()


def _speed(against: Mapping[str, Any] | None, step: Mapping[str, Any]) -> str:
    if against is None:
        return "–"
    ratio = against["ratios"].get("speedup")
    if ratio is None or ratio["value"] is None:
        return "–"
    spread = f" [{ratio['low']:.2f}, {ratio['high']:.2f}]" if ratio["low"] is not None else ""
    return f"{ratio['value']:.2f}x{spread}"


def _size(step: Mapping[str, Any]) -> str:
    change = (step["against_reference"] or {"changes": {}})["changes"].get("size")
    return f"{1 / change['quotient']:.1f}x smaller" if change and change["quotient"] else "–"


def absences(report: Mapping[str, Any]) -> list[str]:
    """One line for each kind of measurement that could not be taken, with the reason."""
    found: dict[str, str] = {}
    for step in report["steps"]:
        for name, m in step["measurements"].items():
            if m["absent"]:
                found.setdefault(name, f"{name}: {m['absent']}")
    return list(found.values())
