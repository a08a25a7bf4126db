"""Waterfalls as numbers that a template draws: what each step changed, on the step that it was made
from.

All lengths are in the units of the picture's view box."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from compress.measurement import quantity
from compress.report.pictures.fitting import SOFT, lines, width
from compress.report.text import show, spread
from compress.results.examples import comparable

WIDTH = 380.0
ROW = 60.0
"""Height of a step with one line above its bar and one below."""
LINE, SOFT_LINE = 16.0, 14.0
"""What a further line of either takes."""
_GAP = 14.0
"""Between a step's name and its value on one line."""

SHOWN = ("quality", "latency_p50", "memory", "memory_gpu", "size")
_COMPARED = {"quality": "quality_difference", "latency_p50": "speedup_p50"}
"""Comparisons that were made on the same examples or rounds, and know more of a change than two
values do."""

_CUT_ABOVE = 0.6
"""Where all values lie above this share of the largest, the axis starts near the smallest: a change
of a hundredth would not be seen on the whole."""


@dataclass(frozen=True)
class Bar:
    """A step's bar from ``x`` on, ``width`` long, in a row that begins at ``y`` and has the bar at
    ``bar_y``; ``labels`` and ``changes`` are the lines above and below it, the value ``text``
    stands in the last line above.

    ``kind`` is ``base`` (a whole bar: there is nothing that it changed), ``better``, ``worse``,
    ``same``, or ``unclear`` where the interval of the change holds none; ``rows_up`` counts the
    rows to the parent, whose value ``parent_x`` marks."""

    label: str
    text: str
    change: str
    kind: str
    x: float
    width: float
    low: float | None
    high: float | None
    parent_x: float | None = None
    rows_up: int = 0
    labels: Sequence[str] = ()
    changes: Sequence[str] = ()
    y: float = 0.0
    bar_y: float = 0.0


@dataclass(frozen=True)
class Waterfall:
    """One measurement over the steps; ``better`` is ``higher`` or ``lower``; ``start`` says where
    the axis starts, and is empty where it starts at zero."""

    title: str
    better: str
    start: str
    bars: Sequence[Bar]
    height: float


def waterfalls(report: Mapping[str, Any]) -> list[Waterfall]:
    """A picture for each measurement of ``SHOWN`` that two artifacts of the recipe's task have."""
    found = [(name, measured_steps(report, name)) for name in SHOWN]
    return [_waterfall(name, steps) for name, steps in found if len(steps) > 1]


def measured_steps(report: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The steps of the recipe's task that have a value of the measurement, in the report's order;
    but for size, those that answered the reference's examples."""
    of_task = [s for s in report["steps"] if s["task"] == report["task"]["name"]]
    steps = of_task if name == "size" else comparable(report)
    return [s for s in steps if (s["measurements"].get(name) or {}).get("value") is not None]


def _waterfall(name: str, steps: Sequence[Mapping[str, Any]]) -> Waterfall:
    numbers = [
        m[key]
        for s in steps
        for m in [s["measurements"][name]]
        for key in ("value", "low", "high")
        if m[key] is not None
    ]
    start, end = axis_start(numbers), max(*numbers, 0.0)
    first = steps[0]["measurements"][name]
    places = {step["name"]: i for i, step in enumerate(steps)}
    bars = [_bar(name, step, steps, places, (start, end)) for step in steps]
    better = first["direction"] if first["direction"] != "neither" else "higher"
    placed, height = _placed(bars)
    return Waterfall(
        first["title"] or name,
        better,
        quantity(start, first["unit"]) if start > 0 else "",
        placed,
        height,
    )


def _placed(bars: Sequence[Bar]) -> tuple[list[Bar], float]:
    """The bars with their rows one below the other, as high as their lines ask, and the height of
    all."""
    found, y = [], 0.0
    for bar in bars:
        labels, changes = lines(bar.label, WIDTH), lines(bar.change, WIDTH, SOFT)
        beside = len(labels) == 1 and width(bar.label) + _GAP + width(bar.text) <= WIDTH
        more = LINE * (len(labels) - 1 if beside else len(labels))
        found.append(replace(bar, labels=labels, changes=changes, y=y, bar_y=y + 18 + more))
        y += ROW + more + SOFT_LINE * max(0, len(changes) - 1)
    return found, y


def axis_start(numbers: Sequence[float]) -> float:
    """Where an axis for these numbers starts: at zero, below the smallest where it is negative, and
    at a round number somewhat below it where all are alike."""
    low, high = min(numbers), max(numbers)
    if low <= _CUT_ABOVE * high or high <= low:
        return min(0.0, low)
    gap = 10.0 ** math.floor(math.log10(high - low))
    return max(0.0, math.floor((low - (high - low) / 2) / gap) * gap)


def _bar(
    name: str,
    step: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    places: Mapping[str, int],
    ends: tuple[float, float],
) -> Bar:
    m = step["measurements"][name]
    low, high = (None if m[key] is None else _x(m[key], ends) for key in ("low", "high"))
    here, text = _x(m["value"], ends), show(m) + spread(m)
    parent = places.get(step["parent"] or "")
    if parent is None:
        return Bar(
            step["name"],
            text,
            "",
            "base",
            min(here, _x(0, ends)),
            abs(here - _x(0, ends)),
            low,
            high,
        )
    before = steps[parent]
    there = _x(before["measurements"][name]["value"], ends)
    kind, change = _change(name, m, before, step["against_parent"])
    return Bar(
        step["name"],
        text,
        change,
        kind,
        min(here, there),
        abs(here - there),
        low,
        high,
        there,
        places[step["name"]] - parent,
    )


def _change(
    name: str, m: Mapping[str, Any], before: Mapping[str, Any], against: Mapping[str, Any] | None
) -> tuple[str, str]:
    """(kind, what is written below the bar)."""
    difference = m["value"] - before["measurements"][name]["value"]
    if difference == 0:
        return "same", f"the same as {before['name']}"
    kind = "better" if (difference < 0) == (m["direction"] == "lower") else "worse"
    found = (against or {"comparisons": {}})["comparisons"].get(_COMPARED.get(name, ""))
    text, more = f"{'+' if difference > 0 else '-'}{quantity(abs(difference), m['unit'])}", ""
    if found and found["value"] is None:
        return "unclear", f"not compared with {before['name']}: {found['absent']}"
    if found:
        more = (
            spread(found, with_sign=True)
            if found["unit"] != "x"
            else f", {found['value']:.2f}x as fast{spread(found)}"
        )
        none = 1.0 if found["unit"] == "x" else 0.0
        kind = "better" if (found["value"] < none) == (found["direction"] == "lower") else "worse"
        if found["low"] is not None and found["low"] <= none <= found["high"]:
            return "unclear", f"{text}{more}, no clear change on {before['name']}"
    return kind, f"{text}{more}, {kind} than {before['name']}"


def _x(value: float, ends: tuple[float, float]) -> float:
    start, end = ends
    return min(WIDTH, max(0.0, (value - start) / (end - start) * WIDTH)) if end > start else 0.0
