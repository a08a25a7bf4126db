"""The tables that every view shows, as text cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_BYTES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def results_table(report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(headers, rows): each measured artifact with every measurement that has a title."""
    steps = [s for s in report["steps"] if s["measurements"]]
    columns = titled(steps)
    rows = [[step["name"], *(show(step["measurements"].get(name)) for name, _ in columns)] for step in steps]
    return ["step", *(title for _, title in columns)], rows


def changes_table(report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(headers, rows): quality, speed and size of each step against the reference, and against the step before it.

    No rows where nothing can be compared."""
    reference, fastest = report["reference"], report["fastest_float_engine"]
    headers = ["step", f"quality vs {reference}", f"speed vs {reference}", f"speed vs {fastest}", f"size vs {reference}",
               "quality vs before", "speed vs before", "size vs before"]
    rows = []
    for step in report["steps"]:
        of, before = step["against_reference"], step["against_parent"]
        if of is not None:
            rows.append([step["name"], _quality(of), _speed(of), _speed(step["against_fastest"]), _size(of),
                         _quality(before), _speed(before), _size(before)])
    return headers, rows


def per_class(report: Mapping[str, Any]) -> list[tuple[str, tuple[list[str], list[list[str]]]]]:
    """(step, (headers, rows)) of each step whose quality has a table by class."""
    found = []
    for step in report["steps"]:
        table = (step["measurements"].get("quality") or {"detail": {}})["detail"].get("per_class")
        if table:
            names = list(next(iter(table.values())))
            rows = [[label, *(f"{row[n]:.0f}" if n == "support" else f"{row[n]:.3f}" for n in names)]
                    for label, row in table.items()]
            found.append((step["name"], (["class", *names], rows)))
    return found


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


def _quality(against: Mapping[str, Any] | None) -> str:
    change = against and against["changes"].get("quality")
    return f"{change['difference']:+.3f} ({100 * change['quotient']:.1f} %)" if change and change["quotient"] else "–"


def _speed(against: Mapping[str, Any] | None) -> str:
    """The ratio of latencies that were measured in turns, with its interval; above 1 is faster."""
    ratio = against and against["comparisons"].get("speedup")
    if not ratio or ratio["value"] is None:
        return "–"
    spread = f" [{ratio['low']:.2f}, {ratio['high']:.2f}]" if ratio["low"] is not None else ""
    return f"{ratio['value']:.2f}x{spread}"


def _size(against: Mapping[str, Any] | None) -> str:
    change = against and against["changes"].get("size")
    return f"{1 / change['quotient']:.1f}x smaller" if change and change["quotient"] else "–"


def reference_text(report: Mapping[str, Any]) -> str:
    """What the reference is, how it is run, and its fastest float engine; empty where there is none."""
    name, fastest = report["reference"], report["fastest_float_engine"]
    traits = next((s["traits"] for s in report["steps"] if s["name"] == name), None)
    if traits is None:
        return ""
    eager = traits["format"] == "pytorch" and traits["precision"] == "float"
    how = "in eager PyTorch float32" if eager else f"as {traits['format']} {traits['precision']}"
    return f"The reference is {name}, {how}; its fastest float engine here is {fastest or 'not measured'}."


def remarks(report: Mapping[str, Any]) -> list[str]:
    """Findings, and how budgets came out, a line each."""
    lines = [f"finding: {f['text']}" for f in report["findings"]]
    for name, outcome in report["step_budgets"].items():
        lines.append(f"budget of {name} {'met' if outcome['met'] else 'missed'}: {said(outcome['verdicts'])}")
    whole = report["budget"]
    if whole:
        name = whole["best"] or whole["nearest"]
        how = f"met; best is {name}" if whole["met"] else f"missed; nearest is {name}"
        lines.append(f"budget {how}: {said(whole['verdicts'].get(name, []))}")
    return lines


def said(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Verdicts in words: each limit with what was measured."""
    return "; ".join(f"{v['quantity']} {v['limit']}: {v['measured']}{'' if v['met'] else ', missed'}" for v in verdicts)


def absences(report: Mapping[str, Any]) -> list[str]:
    """One line for each kind of measurement that could not be taken, with the reason."""
    found: dict[str, str] = {}
    for step in report["steps"]:
        for name, m in step["measurements"].items():
            if m["absent"]:
                found.setdefault(name, f"{name}: {m['absent']}")
    return list(found.values())


def titled(steps: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(measurement name, title) of every column that a table of these steps has: quality, then the others as they appear."""
    found: dict[str, str] = {}
    for step in steps:
        for name, m in step["measurements"].items():
            if m["title"]:
                found.setdefault(name, m["title"])
    return sorted(found.items(), key=lambda column: column[0] != "quality")
