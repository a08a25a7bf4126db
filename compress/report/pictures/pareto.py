"""Quality against latency with size as area, as numbers that a template draws. All lengths are in
the units of the picture's view box."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from compress.measurement import Measurement, value_text
from compress.quantities import LATENCY, QUALITY, SIZE
from compress.report.pictures.fitting import SOFT, centred
from compress.report.pictures.labels import PLOT, Label, placed_label
from compress.report.pictures.numbers import Ends, Valued, all_numbers, measured_steps, valued
from compress.report.text import value_with_interval
from compress.results.report import Report
from compress.results.step import StepResult

FRAME = (72.0, 350.0, 50.0, 285.0)
"""Left, right, top and bottom of where points may stand."""

_LEFT, _RIGHT, _TOP, _BOTTOM = FRAME
_RADII = (5.0, 24.0)


@dataclass(frozen=True)
class Point:
    """A step in the picture: its place, its radius (the area grows with the size on disk), the ends
    of both intervals, and its label. ``shown`` is the name, shortened if there is no room for it;
    ``text`` has the whole name and the numbers."""

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
    """The picture. ``front`` are the points that no other beats in both quality and latency.
    ``x_ends`` and ``y_ends`` label the ends of the axes, ``x_places`` are the middles of the labels
    below. ``sizes`` label the smallest and the largest area."""

    points: Sequence[Point]
    front: Sequence[tuple[float, float]]
    x_ends: tuple[str, str]
    x_places: tuple[float, float]
    y_ends: tuple[str, str]
    sizes: tuple[str, str]


@dataclass(frozen=True)
class _Candidate:
    """A step that has a quality, a latency and a size."""

    step: StepResult
    latency: Valued
    quality: Valued
    size: Valued


def pareto(report: Report) -> Pareto | None:
    """Quality (better is higher) against latency (logarithmic); None for fewer than two steps that
    have both."""
    candidates = _candidates(report)
    if len(candidates) < 2:
        return None
    times = _positive_ends([c.latency for c in candidates])
    scale = _Scale(times, _ends([c.quality for c in candidates]), _is_lower_better(candidates))
    sizes = _positive_ends([c.size for c in candidates])
    points = _points(candidates, scale)
    x_ends = _end_labels(times, candidates[0].latency.measurement)
    y_ends = _end_labels(scale.heights, candidates[0].quality.measurement)
    return Pareto(
        points=points,
        front=sorted((point.x, point.y) for point in points if point.best),
        x_ends=x_ends,
        x_places=(
            centred(_LEFT, x_ends[0], PLOT[0], SOFT),
            centred(_RIGHT, x_ends[1], PLOT[0], SOFT),
        ),
        y_ends=(y_ends[1], y_ends[0]) if scale.lower_is_better else y_ends,
        sizes=_end_labels(sizes, candidates[0].size.measurement),
    )


def _candidates(report: Report) -> list[_Candidate]:
    """The steps that have a quality, and a latency and a size above zero."""
    candidates = []
    for quality in measured_steps(report, QUALITY):
        latency, size = valued(quality.step, LATENCY), valued(quality.step, SIZE)
        if latency and latency.value > 0 and size and size.value > 0:
            candidates.append(_Candidate(quality.step, latency, quality, size))
    return candidates


def _is_lower_better(candidates: Sequence[_Candidate]) -> bool:
    return candidates[0].quality.measurement.direction == "lower"


def _ends(steps: list[Valued]) -> Ends:
    numbers = all_numbers(steps)
    return Ends(min(numbers), max(numbers))


def _positive_ends(steps: list[Valued]) -> Ends:
    """The ends of numbers on a logarithmic scale: the end of an interval may be 0."""
    numbers = [number for number in all_numbers(steps) if number > 0]
    return Ends(min(numbers), max(numbers))


def _end_labels(ends: Ends, m: Measurement) -> tuple[str, str]:
    """The ends of a scale, for people."""
    return value_text(ends.low, m.unit), value_text(ends.high, m.unit)


def front(points: Sequence[tuple[float, float]]) -> set[int]:
    """The indices of the points (cost, gain) that no other point beats. A point beats another if it
    costs no more and gains no less, and is not equal to it."""
    return {
        place for place, (cost, gain) in enumerate(points) if not _is_beaten(cost, gain, points)
    }


def _is_beaten(cost: float, gain: float, points: Sequence[tuple[float, float]]) -> bool:
    return any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in points)


@dataclass(frozen=True)
class _Scale:
    """From numbers to places in the picture."""

    times: Ends
    heights: Ends
    lower_is_better: bool

    def x(self, latency: float) -> float:
        """The horizontal place. A number below the scale is placed at its left end."""
        low, high = math.log(self.times.low), math.log(self.times.high)
        return _between(math.log(max(latency, self.times.low)), Ends(low, high), _LEFT, _RIGHT)

    def y(self, quality: float) -> float:
        """The vertical place; better is higher."""
        if self.lower_is_better:
            return _between(quality, self.heights, _TOP, _BOTTOM)
        return _between(quality, self.heights, _BOTTOM, _TOP)


def _between(value: float, ends: Ends, start: float, end: float) -> float:
    if ends.high == ends.low:
        return (start + end) / 2
    return start + (end - start) * (value - ends.low) / (ends.high - ends.low)


def _points(candidates: Sequence[_Candidate], scale: _Scale) -> list[Point]:
    """A point for each candidate. Labels are placed one after the other, so that each avoids those
    before it."""
    sign = -1.0 if scale.lower_is_better else 1.0
    best = front([(c.latency.value, sign * c.quality.value) for c in candidates])
    largest = max(c.size.value for c in candidates)
    labels: list[Label] = []
    points = []
    for place, candidate in enumerate(candidates):
        point = _point(candidate, scale, math.sqrt(candidate.size.value / largest), labels)
        points.append(replace(point, best=place in best))
        labels.append(Label(point.shown, point.label_x, point.label_y, point.anchor))
    return points


def _point(candidate: _Candidate, scale: _Scale, root: float, labels: Sequence[Label]) -> Point:
    """The point of a candidate. ``root`` is the square root of its share of the largest size: the
    radius grows with it, and so the area grows with the size."""
    latency, quality = candidate.latency.measurement, candidate.quality.measurement
    x, y = scale.x(candidate.latency.value), scale.y(candidate.quality.value)
    smallest, largest = _RADII
    r = smallest + (largest - smallest) * root
    label = placed_label(candidate.step.name, x, y, r, labels)
    numbers = map(value_with_interval, (quality, latency, candidate.size.measurement))
    return Point(
        label=candidate.step.name,
        shown=label.text,
        text=f"{candidate.step.name}: {', '.join(numbers)}",
        x=x,
        y=y,
        r=r,
        across=_interval(latency, scale.x),
        upright=_interval(quality, scale.y),
        label_x=label.x,
        label_y=label.y,
        anchor=label.anchor,
        reference=candidate.step.role in ("reference", "reference-engine"),
        best=False,
    )


def _interval(m: Measurement, place: Callable[[float], float]) -> tuple[float, float] | None:
    if m.low is None or m.high is None:
        return None
    return place(m.low), place(m.high)
