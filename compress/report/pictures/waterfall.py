"""Waterfalls as numbers that a template draws: what each step changed compared with the step that
it was made from.

All lengths are in the units of the picture's view box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from compress.measurement import Measurement, value_text
from compress.quantities import (
    GPU_MEMORY,
    LATENCY,
    MEDIAN_SPEEDUP,
    MEMORY,
    QUALITY,
    QUALITY_DIFFERENCE,
    SIZE,
)
from compress.report.pictures.fitting import SOFT, lines, width
from compress.report.pictures.numbers import Ends, Valued, all_numbers, measured_steps
from compress.report.text import interval_text, signed_interval_text, value_with_interval
from compress.results.equal import TOLERANCES, is_equal
from compress.results.report import Report

WIDTH = 380.0
ROW = 60.0
"""Height of a step with one line above its bar and one below."""
LINE, SOFT_LINE = 16.0, 14.0
"""The height of each further line above the bar, and below it."""
_ABOVE = 18.0
"""From the top of a row to its bar, with one line above it."""
_GAP = 14.0
"""Between a step's name and its value on one line."""

SHOWN = (QUALITY, LATENCY, MEMORY, GPU_MEMORY, SIZE)
_COMPARED = {QUALITY: QUALITY_DIFFERENCE, LATENCY: MEDIAN_SPEEDUP}
"""Paired comparisons, on the same examples or rounds. They judge a change more precisely than two
values do."""

_CUT_ABOVE = 0.6
"""If all values are above this share of the largest, the axis starts near the smallest. From zero a
change of one percent could not be seen."""


@dataclass(frozen=True)
class Bar:
    """A step's bar. It starts at ``x`` and is ``width`` long; its row starts at ``y``, the bar
    itself at ``bar_y``. ``labels`` and ``changes`` are the lines above and below it; the value
    ``text`` is in the last line above.

    ``kind`` is ``base`` for a whole bar, of a step without a parent in the picture. A floating bar
    is ``better``, ``worse``, ``same``, or ``unclear`` if the interval of the change includes no
    change. ``parent_x`` is the place of the parent's value, ``rows_up`` the number of rows up to
    the parent."""

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
    """One measurement over the steps. ``better`` is ``higher`` or ``lower``. ``start`` is the value
    at which the axis starts, empty if that is zero."""

    title: str
    better: str
    start: str
    bars: Sequence[Bar]
    height: float


def waterfalls(report: Report) -> list[Waterfall]:
    """A picture for each measurement of ``SHOWN`` that two artifacts of the recipe's task have."""
    measured = {name: measured_steps(report, name) for name in SHOWN}
    return [_waterfall(name, steps) for name, steps in measured.items() if len(steps) > 1]


def _waterfall(name: str, steps: list[Valued]) -> Waterfall:
    numbers = all_numbers(steps)
    axis = Ends(axis_start(numbers), max(*numbers, 0.0))
    placed, height = _placed(_bars(name, steps, axis))
    first = steps[0].measurement
    return Waterfall(
        title=first.title or name,
        better=first.direction if first.direction != "neither" else "higher",
        start=value_text(axis.low, first.unit) if axis.low > 0 else "",
        bars=placed,
        height=height,
    )


def axis_start(numbers: Sequence[float]) -> float:
    """The start of an axis for these numbers: zero, or the smallest number if it is negative. If
    all are close together, a round number somewhat below the smallest."""
    low, high = min(numbers), max(numbers)
    if low <= _CUT_ABOVE * high or high <= low:
        return min(0.0, low)
    gap = 10.0 ** math.floor(math.log10(high - low))
    return max(0.0, math.floor((low - (high - low) / 2) / gap) * gap)


def _bars(name: str, steps: Sequence[Valued], axis: Ends) -> list[Bar]:
    """A bar for each step: a floating one if the step that it was made from has a bar too."""
    rows = {step.name: row for row, step in enumerate(steps)}
    bars = []
    for step in steps:
        bar = _whole_bar(step, axis)
        parent_row = rows.get(step.step.parent or "")
        if parent_row is not None:
            bar = _floating_bar(bar, name, step, steps[parent_row], axis)
            bar = replace(bar, rows_up=rows[step.name] - parent_row)
        bars.append(bar)
    return bars


def _whole_bar(step: Valued, axis: Ends) -> Bar:
    """A bar from zero, or from where the axis starts, to the value."""
    m, here, zero = step.measurement, _x(step.value, axis), _x(0, axis)
    return Bar(
        label=step.name,
        text=value_with_interval(m),
        change="",
        kind="base",
        x=min(here, zero),
        width=abs(here - zero),
        low=None if m.low is None else _x(m.low, axis),
        high=None if m.high is None else _x(m.high, axis),
    )


def _floating_bar(bar: Bar, name: str, step: Valued, parent: Valued, axis: Ends) -> Bar:
    """The bar from the parent's value to its own, with what it changed."""
    here, there = _x(step.value, axis), _x(parent.value, axis)
    kind, change = _change(name, step, parent)
    return replace(
        bar,
        kind=kind,
        change=change,
        x=min(here, there),
        width=abs(here - there),
        parent_x=there,
    )


def _x(value: float, axis: Ends) -> float:
    if axis.high <= axis.low:
        return 0.0
    return min(WIDTH, max(0.0, (value - axis.low) / (axis.high - axis.low) * WIDTH))


def _change(name: str, step: Valued, parent: Valued) -> tuple[str, str]:
    """(kind, what is written below the bar)."""
    difference = step.value - parent.value
    if difference == 0:
        return "same", f"the same as {parent.name}"
    if parent.value and is_equal(name, step.value / parent.value):
        share = 100 * TOLERANCES[name]
        return "same", f"equal to {parent.name} within {share:g} %"
    sign = "+" if difference > 0 else "-"
    text = f"{sign}{value_text(abs(difference), step.measurement.unit)}"
    against = step.step.against_parent
    comparison = against.comparisons.get(_COMPARED.get(name, "")) if against else None
    if comparison is not None:
        return _compared_change(text, comparison, parent.name)
    kind = _kind(difference, step.measurement.direction)
    return kind, f"{text}, {kind} than {parent.name}"


def _compared_change(text: str, comparison: Measurement, parent: str) -> tuple[str, str]:
    """The change as it was measured on the same examples or rounds: a ratio, where 1 is no change,
    or a difference, where 0 is none."""
    value, low, high = comparison.value, comparison.low, comparison.high
    if value is None:
        return "unclear", f"not compared with {parent}: {comparison.absent}"
    is_ratio = comparison.unit == "x"
    unchanged = 1.0 if is_ratio else 0.0
    if is_ratio:
        text += f", {value:.2f}x as fast{interval_text(comparison)}"
    else:
        text += signed_interval_text(comparison)
    if low is not None and high is not None and low <= unchanged <= high:
        return "unclear", f"{text}, no clear change on {parent}"
    kind = _kind(value - unchanged, comparison.direction)
    return kind, f"{text}, {kind} than {parent}"


def _kind(difference: float, direction: str) -> str:
    return "better" if (difference < 0) == (direction == "lower") else "worse"


def _placed(bars: Sequence[Bar]) -> tuple[list[Bar], float]:
    """The bars with their rows one below the other, each as high as its lines need, and the height
    of all."""
    placed, y = [], 0.0
    for bar in bars:
        labels, changes = lines(bar.label, WIDTH), lines(bar.change, WIDTH, SOFT)
        above = LINE * (len(labels) - 1 if _fit_on_one_line(bar, labels) else len(labels))
        placed.append(replace(bar, labels=labels, changes=changes, y=y, bar_y=y + _ABOVE + above))
        y += ROW + above + SOFT_LINE * max(0, len(changes) - 1)
    return placed, y


def _fit_on_one_line(bar: Bar, labels: Sequence[str]) -> bool:
    """Whether a step's name and its value stand on one line."""
    return len(labels) == 1 and width(bar.label) + _GAP + width(bar.text) <= WIDTH
