"""Quality against latency with size as area, as numbers that a template draws. All lengths are in
the units of the picture's view box."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compress.measurement import quantity
from compress.report.pictures.fitting import SOFT, centred, shortened, width
from compress.report.pictures.waterfall import measured_steps
from compress.report.text import show, spread

PLOT = (380.0, 340.0)
FRAME = (72.0, 350.0, 50.0, 285.0)
"""Left, right, top and bottom of where points may stand."""

_LEFT, _RIGHT, _TOP, _BOTTOM = FRAME
_RADII = (5.0, 24.0)
_LINE, _HIGHEST, _LOWEST = 16.0, 12.0, PLOT[1] - 28


@dataclass(frozen=True)
class Point:
    """A step: its place, its radius (the area grows with the size on disk), the ends of both
    intervals, and its label with its place, ``shown`` as far as there is room; ``text`` says the
    whole name and the numbers."""

    label: str
    shown: str
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
    """``front`` joins the points that no other beats in both; the ends label the axes, where
    intervals end as well as values (``x_places`` are the middles of those below), the sizes the
    areas."""

    points: Sequence[Point]
    front: Sequence[tuple[float, float]]
    x_ends: tuple[str, str]
    x_places: tuple[float, float]
    y_ends: tuple[str, str]
    sizes: tuple[str, str]


def pareto(report: Mapping[str, Any]) -> Pareto | None:
    """Quality (the better, the higher) against latency (logarithmic); None where fewer than two
    steps have both."""
    steps = [
        s for s in measured_steps(report, "quality") if _of(s, "latency_p50") and _of(s, "size")
    ]
    if len(steps) < 2:
        return None
    sign = -1.0 if steps[0]["measurements"]["quality"]["direction"] == "lower" else 1.0
    times, heights = (_ends(steps, name) for name in ("latency_p50", "quality"))
    best = front([(_of(s, "latency_p50"), sign * _of(s, "quality")) for s in steps])
    largest = max(_of(s, "size") for s in steps)
    points: list[Point] = []
    for i, step in enumerate(steps):
        points.append(
            _point(
                step,
                times,
                heights,
                sign,
                math.sqrt(_of(step, "size") / largest),
                i in best,
                points,
            )
        )
    line = sorted((p.x, p.y) for p in points if p.best)
    low, high = _labels(steps, "quality", heights)
    ends = _labels(steps, "latency_p50", times)
    places = centred(_LEFT, ends[0], PLOT[0], SOFT), centred(_RIGHT, ends[1], PLOT[0], SOFT)
    return Pareto(
        points,
        line,
        ends,
        places,
        (low, high) if sign > 0 else (high, low),
        _labels(steps, "size", _ends(steps, "size")),
    )


def front(points: Sequence[tuple[float, float]]) -> set[int]:
    """Places of the points (cost, gain) that no other beats: none costs no more and gains no less,
    with one of both strictly."""
    return {
        i
        for i, (cost, gain) in enumerate(points)
        if not any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in points)
    }


def _point(
    step: Mapping[str, Any],
    times: tuple[float, float],
    heights: tuple[float, float],
    sign: float,
    root: float,
    best: bool,
    others: Sequence[Point],
) -> Point:
    latency, quality, size = (step["measurements"][n] for n in ("latency_p50", "quality", "size"))

    def across(value: float) -> float:
        return _scaled(
            math.log(max(value, times[0])), (math.log(times[0]), math.log(times[1])), _LEFT, _RIGHT
        )

    def upright(value: float) -> float:
        return _scaled(value, heights, *((_BOTTOM, _TOP) if sign > 0 else (_TOP, _BOTTOM)))

    x, y, r = (
        across(latency["value"]),
        upright(quality["value"]),
        _RADII[0] + (_RADII[1] - _RADII[0]) * root,
    )
    shown, anchor, label_y = _label(step["name"], x, y, r, others)
    text = ", ".join(f"{show(m)}{spread(m)}" for m in (quality, latency, size))
    return Point(
        step["name"],
        shown,
        f"{step['name']}: {text}",
        x,
        y,
        r,
        _interval(latency, across),
        _interval(quality, upright),
        x,
        label_y,
        anchor,
        step["role"] in ("reference", "reference-engine"),
        best,
    )


def _label(
    name: str, x: float, y: float, r: float, others: Sequence[Point]
) -> tuple[str, str, float]:
    """(what is shown of the name, its anchor, its height): above the point or below it, to the
    right or to the left, where it covers no label that stands already; else moved up line by
    line."""
    shown, anchors = _anchors(name, x)
    heights = [max(y - r - 5, _HIGHEST), min(y + r + 13, _LOWEST)]
    free = (
        (shown, anchor, at)
        for anchor in anchors
        for at in heights
        if not _covers(shown, x, at, anchor, others)
    )
    found = next(free, None)
    at = heights[0]
    while found is None and at > _LINE and _covers(shown, x, at, anchors[0], others):
        at -= 2
    return found or (shown, anchors[0], max(at, _HIGHEST))


def _anchors(name: str, x: float) -> tuple[str, list[str]]:
    """What is shown of the name, and the anchors with which it stays in the picture, the better
    first."""
    rooms = {"start": PLOT[0] - x, "end": x}
    order = sorted(rooms, reverse=x <= PLOT[0] * 0.6)
    fitting = [anchor for anchor in order if width(name) <= rooms[anchor]]
    roomy = max(order, key=lambda anchor: rooms[anchor])
    return (name, fitting) if fitting else (shortened(name, rooms[roomy]), [roomy])


def _covers(label: str, x: float, y: float, anchor: str, others: Sequence[Point]) -> bool:
    left, right = _ends_of(label, x, anchor)
    for other in others:
        start, end = _ends_of(other.shown, other.label_x, other.anchor)
        if start < right and left < end and abs(y - other.label_y) < _LINE:
            return True
    return False


def _ends_of(text: str, x: float, anchor: str) -> tuple[float, float]:
    return (x - width(text), x) if anchor == "end" else (x, x + width(text))


def _interval(m: Mapping[str, Any], place: Any) -> tuple[float, float] | None:
    return (
        (place(m["low"]), place(m["high"]))
        if m["low"] is not None and m["high"] is not None
        else None
    )


def _ends(steps: Sequence[Mapping[str, Any]], name: str) -> tuple[float, float]:
    numbers = [
        v
        for s in steps
        for key in ("value", "low", "high")
        if (v := s["measurements"][name][key]) is not None
    ]
    return min(v for v in numbers if v > 0 or name == "quality"), max(numbers)


def _scaled(value: float, ends: tuple[float, float], start: float, end: float) -> float:
    low, high = ends
    return (
        (start + end) / 2 if high == low else start + (end - start) * (value - low) / (high - low)
    )


def _labels(
    steps: Sequence[Mapping[str, Any]], name: str, ends: tuple[float, float]
) -> tuple[str, str]:
    """The ends of a scale, for people."""
    unit = steps[0]["measurements"][name]["unit"]
    return quantity(ends[0], unit), quantity(ends[1], unit)


def _of(step: Mapping[str, Any], name: str) -> float:
    """The value; 0 where there is none."""
    m = step["measurements"].get(name)
    return float(m["value"] or 0.0) if m else 0.0
