"""What a limit is held against: a value of the step, or the step beside another artifact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from compress.measurement import Measurement
from compress.measurement import quantity as value_text
from compress.planning.budget import BASELINES, QUANTITIES, Limit
from compress.quantities import MEDIAN_SPEEDUP, QUALITY_KEPT
from compress.results.examples import same_examples
from compress.results.report import Report
from compress.results.step import StepResult

_COMPARED = {"latency": MEDIAN_SPEEDUP, "quality": QUALITY_KEPT}
"""Comparisons of two artifacts on the same rounds or the same examples: narrower than a quotient of
two values."""
_EXACT = ("size", "memory")
"""Quantities whose worst case, where no meter states one, is the value itself."""


@dataclass(frozen=True)
class _Known:
    """A number as far as it is known: a measurement's, a comparison's, or a quotient's."""

    value: float | None = None
    worst: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, m: Measurement) -> _Known:
        return cls(m.value, m.worst, m.low, m.high)


@dataclass(frozen=True)
class Reading:
    """What a limit is held against: ``text`` shows the value with its interval; ``worst`` is None
    where the end on the bad side is not known."""

    value: float | None
    worst: float | None
    text: str

    def deciding(self, decide: str) -> float | None:
        """The number that decides."""
        return self.worst if decide == "worst" else self.value


_UNMEASURED = Reading(None, None, "not measured")
_NO_ENGINE = replace(
    _UNMEASURED,
    text="not measured: the reference was timed in no float engine; write 'of B0' for the "
    "reference as it is",
)
"""For a limit that names nothing: it means the fastest float engine."""


def take_reading(step: StepResult, limit: Limit, report: Report, decide: str) -> Reading:
    """What the limit is held against. ``decide`` adds the worst case to its text."""
    if limit.relative:
        return _relative(step, limit, report, decide)
    m = step.measurements.get(QUANTITIES[limit.quantity])
    if m is None:
        return _UNMEASURED
    return _as_reading(_Known.of(m), limit, lambda value: value_text(value, m.unit), "", decide)


def _relative(step: StepResult, limit: Limit, report: Report, decide: str) -> Reading:
    """The share of quality kept, or how many times faster or smaller than the other artifact."""
    name = _other_name(limit, report)
    if name is None:
        means_engine = limit.quantity == "latency" and limit.of is None
        return _NO_ENGINE if means_engine and report.reference else _UNMEASURED
    known = _compared(step, limit.quantity, name, report)
    show = _share if limit.quantity == "quality" else _times
    return _as_reading(known, limit, show, f" of {name}", decide)


def _other_name(limit: Limit, report: Report) -> str | None:
    """The artifact that a relative limit is against: the one that it names, else the reference, for
    speed in its fastest float engine."""
    is_speed = limit.quantity == "latency"
    default = report.fastest_float_engine if is_speed else report.reference
    as_it_is, in_fastest = BASELINES
    baselines = {as_it_is: report.reference, in_fastest: report.fastest_float_engine}
    return baselines.get(limit.of or "", limit.of or default)


def _as_reading(
    known: _Known, limit: Limit, show: Callable[[float], str], of: str, decide: str
) -> Reading:
    value, worst = known.value, known.worst
    if value is None:
        return _UNMEASURED
    if worst is None and limit.quantity in _EXACT:
        worst = value
    text = show(value) + of
    if known.low is not None and known.high is not None:
        text += f" [{show(known.low)}, {show(known.high)}]"
    if decide == "worst" and worst != value:
        text += ", worst not measured" if worst is None else f", worst {show(worst)}"
    return Reading(value, worst, text)


def _compared(step: StepResult, quantity: str, name: str, report: Report) -> _Known:
    """The comparison with the artifact ``name`` as it was measured. Where there is none, the
    quotient of two values, whose worst case nobody knows."""
    if name == step.name:
        return _Known(1.0, 1.0)
    for against in step.beside():
        comparison = against.comparisons.get(_COMPARED.get(quantity, ""))
        if against.name == name and comparison:
            return _Known.of(comparison)
    other = report.step(name)
    return _quotient(step, other, quantity) if other else _Known()


def _quotient(step: StepResult, other: StepResult, quantity: str) -> _Known:
    """How many times better a value is than the other's. Unknown where the two cannot be divided:
    scores, times and memory of other examples, and scores below zero."""
    mine, theirs = (s.measured(QUANTITIES[quantity]) for s in (step, other))
    if mine is None or theirs is None or mine.value is None or theirs.value is None:
        return _Known()
    if quantity != "size" and not same_examples(step, other):
        return _Known()
    if quantity == "quality" and min(mine.value, theirs.value) < 0:
        return _Known()
    over, under = mine.value, theirs.value
    if mine.direction != "higher":
        over, under = under, over
    return _Known(over / under) if under else _Known()


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _times(value: float) -> str:
    return f"{value:.2f}x"
