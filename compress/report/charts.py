"""Pictures of a report as numbers that a template draws: bars for each measurement over the steps, and quality against
latency with size as area. All positions are in the units of the picture's view box."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compress.report.table import show

BAR_WIDTH = 320.0
PLOT = (640.0, 320.0)
_MARGIN = 48.0
_RADII = (6.0, 26.0)
SHOWN = ("quality", "latency_p50", "size", "memory")


@dataclass(frozen=True)
class Bar:
    """A step's bar: its length, what it says, and whether the step is the reference or its conversion."""

    label: str
    length: float
    text: str
    low: float | None
    high: float | None
    reference: bool


@dataclass(frozen=True)
class Bars:
    """One measurement over the steps; ``better`` is ``longer`` or ``shorter``."""

    title: str
    better: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Point:
    """A step in the picture of quality against latency; ``r`` grows with the root of its size on disk."""

    label: str
    x: float
    y: float
    r: float
    text: str
    reference: bool


@dataclass(frozen=True)
class Plot:
    """Quality (up) against latency (to the right, logarithmic); ``x_ends`` and ``y_ends`` label the axes' ends."""

    points: Sequence[Point]
    x_ends: tuple[str, str]
    y_ends: tuple[str, str]


def bars(report: Mapping[str, Any]) -> list[Bars]:
    """A picture for each measurement of ``SHOWN`` that two steps of the recipe's task have."""
    found = [_bars(name, _steps(report, name)) for name in SHOWN]
    return [picture for picture in found if len(picture.bars) > 1]


def plot(report: Mapping[str, Any]) -> Plot | None:
    """Quality against latency; None where fewer than two steps have both."""
    steps = [s for s in _steps(report, "quality") if _value(s, "latency_p50") and _value(s, "size")]
    if len(steps) < 2:
        return None
    times = [math.log(_number(s, "latency_p50")) for s in steps]
    heights = [_number(s, "quality") for s in steps]
    roots = [math.sqrt(_number(s, "size")) for s in steps]
    points = [Point(s["name"], _scaled(t, times, _MARGIN, PLOT[0] - _MARGIN),
                    _scaled(q, heights, PLOT[1] - _MARGIN, _MARGIN), _RADII[0] + (_RADII[1] - _RADII[0]) * root / max(roots),
                    f"{show(s['measurements']['quality'])}, {show(s['measurements']['latency_p50'])}, "
                    f"{show(s['measurements']['size'])}", _is_reference(s))
              for s, t, q, root in zip(steps, times, heights, roots, strict=True)]
    return Plot(points, (_label(steps, "latency_p50", min), _label(steps, "latency_p50", max)),
                (_label(steps, "quality", min), _label(steps, "quality", max)))


def _steps(report: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    task = report["task"]["name"]
    return [s for s in report["steps"] if s["task"] == task and _value(s, name) is not None]


def _bars(name: str, steps: Sequence[Mapping[str, Any]]) -> Bars:
    largest = max((_number(s, name) for s in steps), default=0.0) or 1.0
    made = []
    for step in steps:
        m = step["measurements"][name]
        low, high = ((m[end] / largest * BAR_WIDTH if m[end] is not None else None) for end in ("low", "high"))
        made.append(Bar(step["name"], m["value"] / largest * BAR_WIDTH, show(m), low, high, _is_reference(step)))
    first = steps[0]["measurements"][name] if steps else {"title": "", "direction": "lower"}
    return Bars(first["title"], "longer" if first["direction"] == "higher" else "shorter", made)


def _scaled(value: float, values: Sequence[float], start: float, end: float) -> float:
    low, high = min(values), max(values)
    return (start + end) / 2 if high == low else start + (end - start) * (value - low) / (high - low)


def _label(steps: Sequence[Mapping[str, Any]], name: str, choose: Any) -> str:
    return show(choose((s["measurements"][name] for s in steps), key=lambda m: m["value"]))


def _is_reference(step: Mapping[str, Any]) -> bool:
    return step["role"] in ("reference", "reference-engine")


def _value(step: Mapping[str, Any], name: str) -> float | None:
    m = step["measurements"].get(name)
    return m["value"] if m else None


def _number(step: Mapping[str, Any], name: str) -> float:
    value = _value(step, name)
    assert value is not None  # steps without it were left out
    return value
