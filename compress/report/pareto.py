"""Quality against latency with size as area, as numbers that a template draws. All lengths are in the units of the
picture's view box."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compress.report.table import quantity, show, spread
from compress.report.waterfall import measured_steps

PLOT = (480.0, 360.0)
FRAME = (76.0, 440.0, 50.0, 300.0)
"""Left, right, top and bottom of where points may stand."""

_LEFT, _RIGHT, _TOP, _BOTTOM = FRAME
_RADII = (5.0, 24.0)
_CHARACTER, _LINE = 7.0, 16.0


@dataclass(frozen=True)
class Point:
    """A step: its place, its radius (the area grows with the size on disk), the ends of both intervals and the place of
    its label."""

    label: str
    text: str
    x: float
    y: float
    r: float
    across: tuple[float, float] | None
    upright: tuple[float, float] | None
    label_x: float
    label_y: float
    anchor: str
    reference: bool
    best: bool


@dataclass(frozen=True)
class Pareto:
    """``front`` joins the points that no other beats in both; the ends label the axes, where intervals end as well as
    values, the sizes the areas."""

    points: Sequence[Point]
    front: Sequence[tuple[float, float]]
    x_ends: tuple[str, str]
    y_ends: tuple[str, str]
    sizes: tuple[str, str]


def pareto(report: Mapping[str, Any]) -> Pareto | None:
    """Quality (the better, the higher) against latency (logarithmic); None where fewer than two steps have both."""
    steps = [s for s in measured_steps(report, "quality") if _of(s, "latency_p50") and _of(s, "size")]
    if len(steps) < 2:
        return None
    sign = -1.0 if steps[0]["measurements"]["quality"]["direction"] == "lower" else 1.0
    times, heights = (_ends(steps, name) for name in ("latency_p50", "quality"))
    best = front([(_of(s, "latency_p50"), sign * _of(s, "quality")) for s in steps])
    largest = max(_of(s, "size") for s in steps)
    points: list[Point] = []
    for i, step in enumerate(steps):
        points.append(_point(step, times, heights, sign, math.sqrt(_of(step, "size") / largest), i in best, points))
    line = sorted((p.x, p.y) for p in points if p.best)
    low, high = _labels(steps, "quality", heights)
    return Pareto(points, line, _labels(steps, "latency_p50", times), (low, high) if sign > 0 else (high, low),
                  _labels(steps, "size", _ends(steps, "size")))


def front(points: Sequence[tuple[float, float]]) -> set[int]:
    """Places of the points (cost, gain) that no other beats: none costs no more and gains no less, with one of both
    strictly."""
    return {i for i, (cost, gain) in enumerate(points)
            if not any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in points)}


def _point(step: Mapping[str, Any], times: tuple[float, float], heights: tuple[float, float], sign: float, root: float,
           best: bool, others: Sequence[Point]) -> Point:
    latency, quality, size = (step["measurements"][n] for n in ("latency_p50", "quality", "size"))

    def across(value: float) -> float:
        return _scaled(math.log(max(value, times[0])), (math.log(times[0]), math.log(times[1])), _LEFT, _RIGHT)

    def upright(value: float) -> float:
        return _scaled(value, heights, *((_BOTTOM, _TOP) if sign > 0 else (_TOP, _BOTTOM)))

    x, y, r = across(latency["value"]), upright(quality["value"]), _RADII[0] + (_RADII[1] - _RADII[0]) * root
    anchor = "end" if x > PLOT[0] * 0.6 else "start"
    text = ", ".join(f"{show(m)}{spread(m)}" for m in (quality, latency, size))
    return Point(step["name"], text, x, y, r, _interval(latency, across), _interval(quality, upright), x,
                 _free(step["name"], x, y - r - 5, anchor, others), anchor,
                 step["role"] in ("reference", "reference-engine"), best)


def _free(label: str, x: float, y: float, anchor: str, others: Sequence[Point]) -> float:
    """A height for a label at which it covers none that stands already: moved up line by line."""
    def ends(text: str, at: float, side: str) -> tuple[float, float]:
        width = _CHARACTER * len(text)
        return (at - width, at) if side == "end" else (at, at + width)

    left, right = ends(label, x, anchor)
    taken = [p.label_y for p in others
             if ends(p.label, p.label_x, p.anchor)[0] < right and left < ends(p.label, p.label_x, p.anchor)[1]]
    while any(abs(y - other) < _LINE for other in taken) and y > _LINE:
        y -= 2
    return max(y, 12.0)


def _interval(m: Mapping[str, Any], place: Any) -> tuple[float, float] | None:
    return (place(m["low"]), place(m["high"])) if m["low"] is not None and m["high"] is not None else None


def _ends(steps: Sequence[Mapping[str, Any]], name: str) -> tuple[float, float]:
    numbers = [v for s in steps for key in ("value", "low", "high") if (v := s["measurements"][name][key]) is not None]
    return min(v for v in numbers if v > 0 or name == "quality"), max(numbers)


def _scaled(value: float, ends: tuple[float, float], start: float, end: float) -> float:
    low, high = ends
    return (start + end) / 2 if high == low else start + (end - start) * (value - low) / (high - low)


def _labels(steps: Sequence[Mapping[str, Any]], name: str, ends: tuple[float, float]) -> tuple[str, str]:
    """The ends of a scale, for people."""
    unit = steps[0]["measurements"][name]["unit"]
    return quantity(ends[0], unit), quantity(ends[1], unit)


def _of(step: Mapping[str, Any], name: str) -> float:
    """The value; 0 where there is none."""
    m = step["measurements"].get(name)
    return float(m["value"] or 0.0) if m else 0.0
