"""The value that a limit of a budget is compared with: a value of the step itself, or the step
compared with another artifact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from compress.measurement import Measurement, value_text
from compress.planning.budget import BASELINES, QUANTITIES, Limit
from compress.quantities import MEDIAN_SPEEDUP, QUALITY_KEPT
from compress.results.examples import same_examples
from compress.results.report import Report
from compress.results.step import StepResult

_COMPARED = {"latency": MEDIAN_SPEEDUP, "quality": QUALITY_KEPT}
"""Paired comparisons, on the same rounds or the same examples. Their intervals are narrower than
that of a quotient of two values."""
_EXACT = ("size", "memory")
"""Quantities whose worst case is the value itself where no meter states one."""


@dataclass(frozen=True)
class _Number:
    """A value with the ends of its interval, each None where it is not known. It comes from a
    measurement, a comparison or a quotient."""

    value: float | None = None
    worst: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, m: Measurement) -> _Number:
        return cls(m.value, m.worst, m.low, m.high)


@dataclass(frozen=True)
class LimitedValue:
    """A value that a limit is compared with. ``worst`` is its one-sided 95 % end on the bad side,
    None where that is not known. ``text`` shows the value with its interval."""

    value: float | None
    worst: float | None
    text: str

    def deciding(self, decide: str) -> float | None:
        """The number that decides whether the limit is met."""
        return self.worst if decide == "worst" else self.value


_UNMEASURED = LimitedValue(None, None, "not measured")
_NO_ENGINE = replace(
    _UNMEASURED,
    text="not measured: the reference was timed in no float engine; write 'of B0' for the "
    "reference as it is",
)
"""For a limit that names nothing: it means the fastest float engine."""


def limited_value(step: StepResult, limit: Limit, report: Report, decide: str) -> LimitedValue:
    """The value of the step that the limit is compared with. With ``decide`` = ``worst`` its text
    shows the worst case too."""
    if limit.relative:
        return _relative(step, limit, report, decide)
    m = step.measurements.get(QUANTITIES[limit.quantity])
    if m is None:
        return _UNMEASURED
    return _with_text(_Number.of(m), limit, lambda value: value_text(value, m.unit), "", decide)


def _relative(step: StepResult, limit: Limit, report: Report, decide: str) -> LimitedValue:
    """The share of quality kept, or how many times faster or smaller than the other artifact."""
    name = _other_name(limit, report)
    if name is None:
        means_engine = limit.quantity == "latency" and limit.of is None
        return _NO_ENGINE if means_engine and report.reference else _UNMEASURED
    number = _compared(step, limit.quantity, name, report)
    show = _share if limit.quantity == "quality" else _times
    return _with_text(number, limit, show, f" of {name}", decide)


def _other_name(limit: Limit, report: Report) -> str | None:
    """The artifact that a relative limit compares with: the one that it names, else the reference.
    For latency that is the reference in its fastest float engine."""
    is_speed = limit.quantity == "latency"
    default = report.fastest_float_engine if is_speed else report.reference
    as_it_is, in_fastest = BASELINES
    baselines = {as_it_is: report.reference, in_fastest: report.fastest_float_engine}
    return baselines.get(limit.of or "", limit.of or default)


def _with_text(
    number: _Number, limit: Limit, show: Callable[[float], str], of: str, decide: str
) -> LimitedValue:
    value, worst = number.value, number.worst
    if value is None:
        return _UNMEASURED
    if worst is None and limit.quantity in _EXACT:
        worst = value
    text = show(value) + of
    if number.low is not None and number.high is not None:
        text += f" [{show(number.low)}, {show(number.high)}]"
    if decide == "worst" and worst != value:
        text += ", worst not measured" if worst is None else f", worst {show(worst)}"
    return LimitedValue(value, worst, text)


def _compared(step: StepResult, quantity: str, name: str, report: Report) -> _Number:
    """The measured comparison with the artifact ``name``. Without one, the quotient of the two
    values, whose worst case is not known. A step that was measured is equal to itself."""
    if name == step.name:
        return _Number(1.0, 1.0) if step.measured(QUANTITIES[quantity]) else _Number()
    for against in step.compared_with():
        comparison = against.comparisons.get(_COMPARED.get(quantity, ""))
        if against.name == name and comparison:
            return _Number.of(comparison)
    other = report.step(name)
    return _quotient(step, other, quantity) if other else _Number()


def _quotient(step: StepResult, other: StepResult, quantity: str) -> _Number:
    """How many times better the value is than the other's. Not known for scores, times and memory
    that were measured on other examples, and for scores below zero: their quotient means
    nothing."""
    mine, theirs = (s.measured(QUANTITIES[quantity]) for s in (step, other))
    if mine is None or theirs is None or mine.value is None or theirs.value is None:
        return _Number()
    if quantity != "size" and not same_examples(step, other):
        return _Number()
    if quantity == "quality" and min(mine.value, theirs.value) < 0:
        return _Number()
    over, under = mine.value, theirs.value
    if mine.direction != "higher":
        over, under = under, over
    return _Number(over / under) if under else _Number()


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _times(value: float) -> str:
    return f"{value:.2f}x"
