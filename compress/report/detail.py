"""What a report holds beyond its two main tables, as text cells: every measurement and comparison,
the tables and curves that any of them may carry, the conditions, and what measuring cost. No
measurement is known by its name here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from compress.measurement import quantity
from compress.report.text import facts, number, show, spread

Cells = tuple[list[str], list[list[str]]]
"""Headers and rows."""

_SIDES = ("against_reference", "against_fastest", "against_parent")


def every_measurement(report: Mapping[str, Any]) -> Cells:
    """Every measurement by step, with its interval; where it could not be taken, the reason."""
    steps = [step for step in report["steps"] if step["measurements"]]
    names = dict.fromkeys(name for step in steps for name in step["measurements"])
    rows = [[name, *(_cell(step["measurements"].get(name)) for step in steps)] for name in names]
    return ["measurement", *(step["name"] for step in steps)], rows


def every_comparison(report: Mapping[str, Any]) -> Cells:
    """Every comparison that has a value or a reason, a row each."""
    rows = [
        [step, other, name, show(m), spread(m).strip(" []"), m["absent"] or facts(m)]
        for step, other, name, m in compared(report)
    ]
    return ["step", "against", "comparison", "value", "95 % interval", "more"], rows


def tables(report: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, Cells]]]]:
    """(heading, [(whose, table)]) of all tables that measurements and comparisons carry: changes
    first, for they say what a step did."""
    found: dict[str, list[tuple[str, Cells]]] = {}
    for whose, name, m in [*_comparisons(report), *_measurements(report)]:
        for title, table in (m["detail"].get("tables") or {}).items():
            if table:
                found.setdefault(f"{name.replace('_', ' ')}, {title}", []).append(
                    (whose, _numbers(table))
                )
    return list(found.items())


def curves(report: Mapping[str, Any]) -> dict[str, list[tuple[str, Mapping[str, Any]]]]:
    """(step, measurement) of each measurement that carries a curve, by its name."""
    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for step, name, m in _measurements(report):
        _collect(found, name, step, m)
    return found


def compared_curves(report: Mapping[str, Any]) -> dict[str, list[tuple[str, Mapping[str, Any]]]]:
    """(step, comparison) of each comparison that carries a curve, by its name and what it is
    against."""
    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for step, other, name, m in compared(report):
        _collect(found, f"{name} against {other}", step, m)
    return found


def curve_tables(report: Mapping[str, Any]) -> list[tuple[str, Cells]]:
    """(heading, table) of the curves of each name: a row for each place on the axis, a column for
    each step."""
    found = {**curves(report), **compared_curves(report)}
    return [(name.replace("_", " "), curve_table(lines)) for name, lines in found.items()]


def curve_table(lines: list[tuple[str, Mapping[str, Any]]]) -> Cells:
    """The curves of one measurement as one table."""
    by_place = [{point[0]: point for point in m["detail"]["curve"]["points"]} for _, m in lines]
    places = sorted({x for points in by_place for x in points})
    rows = [
        [
            number(x),
            *(
                _point(points.get(x), m["unit"])
                for points, (_, m) in zip(by_place, lines, strict=True)
            ),
        ]
        for x in places
    ]
    return [lines[0][1]["detail"]["curve"]["axis"], *(whose for whose, _ in lines)], rows


def conditions(report: Mapping[str, Any]) -> list[str]:
    """A line for each set of conditions of a step, and of a step against another, with the numbers
    taken under it: how each was measured."""
    lines = []
    for step in report["steps"]:
        shared: dict[str, list[str]] = {}
        for name, m in step["measurements"].items():
            _share_out(shared, name, m)
        lines += _told(step["name"], shared)
    between: dict[str, dict[str, list[str]]] = {}
    for step_name, other, name, m in compared(report):
        _share_out(between.setdefault(f"{step_name} against {other}", {}), name, m)
    return lines + [line for whose, shared in between.items() for line in _told(whose, shared)]


def _share_out(shared: dict[str, list[str]], name: str, m: Mapping[str, Any]) -> None:
    if m["value"] is not None:
        shared.setdefault(stated(m["conditions"]), []).append(
            f"{name} {show(m)}{spread(m)}{_count(m)}"
        )


def _told(whose: str, shared: Mapping[str, list[str]]) -> list[str]:
    return [
        f"{whose}: {'; '.join(numbers)}: {under or 'no conditions apply'}"
        for under, numbers in shared.items()
    ]


def stated(values: Mapping[str, Any]) -> str:
    """Conditions in words, of those of the other side what differs, in brackets."""
    said = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            differing = stated({n: v for n, v in value.items() if values.get(n) != v})
            shown = f"({differing})" if differing else "likewise"
        else:
            shown = number(value) if isinstance(value, float) else str(value)
        said.append(f"{name.replace('_', ' ')} {shown}")
    return ", ".join(said)


def cost(report: Mapping[str, Any]) -> str:
    """One sentence: the effort, and what measuring took of the whole."""
    making, measuring = report["seconds"]["making"], report["seconds"]["measuring"]
    share = 100 * measuring / (making + measuring) if making + measuring else 0.0
    return f"Effort {report['effort']}. Measuring took {_time(measuring)} of {_time(making + measuring)} ({share:.0f} %)."


def compared(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    """(step, other, comparison name, comparison) of each, once where the other has several
    parts."""
    for step in report["steps"]:
        against = [*(step[side] for side in _SIDES if step[side]), *step["against_named"]]
        others = {of["name"]: of["comparisons"] for of in against}
        yield from (
            (step["name"], other, name, m)
            for other, found in others.items()
            for name, m in found.items()
        )


def _measurements(report: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    return [
        (step["name"], name, m)
        for step in report["steps"]
        for name, m in step["measurements"].items()
    ]


def _comparisons(report: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    return [(f"{step} against {other}", name, m) for step, other, name, m in compared(report)]


def _collect(
    found: dict[str, list[tuple[str, Mapping[str, Any]]]],
    name: str,
    step: str,
    m: Mapping[str, Any],
) -> None:
    if (m["detail"].get("curve") or {}).get("points"):
        found.setdefault(name, []).append((step, m))


def _numbers(table: Mapping[str, Mapping[str, Any]]) -> Cells:
    columns = dict.fromkeys(column for row in table.values() for column in row)
    return ["", *columns], [
        [label, *(number(row.get(column)) for column in columns)] for label, row in table.items()
    ]


def _cell(m: Mapping[str, Any] | None) -> str:
    return f"absent: {m['absent']}" if m and m["absent"] else show(m) + (spread(m) if m else "")


def _point(point: list[Any] | None, unit: str) -> str:
    if point is None or point[1] is None:
        return "–"
    _, value, low, high = point
    return quantity(value, unit) + spread({"low": low, "high": high, "unit": unit})


def _count(m: Mapping[str, Any]) -> str:
    return f" (n {m['n']})" if m["n"] is not None else ""


def _time(seconds: float) -> str:
    return (
        f"{seconds:.1f} s"
        if seconds < 60
        else f"{seconds / 60:.1f} min"
        if seconds < 3600
        else f"{seconds / 3600:.1f} h"
    )
