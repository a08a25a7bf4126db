"""Budgets against a report: which limits each step meets, and which step is the best that meets
them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from compress.measurement import Measurement
from compress.measurement import quantity as shown
from compress.planning.budget import BASELINES, QUANTITIES, Budget, Limit
from compress.planning.types import MODEL
from compress.quantities import LATENCY, MEDIAN_SPEEDUP, QUALITY, QUALITY_KEPT
from compress.results.examples import comparable, same_examples
from compress.results.outcomes import (
    BudgetOutcome,
    StepBudgetOutcome,
    Verdict,
    shortfall,
)
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
class _Reading:
    """What a limit is held against: ``text`` shows the value with its interval; ``worst`` is None
    where the end on the bad side is not known."""

    value: float | None
    worst: float | None
    text: str

    def deciding(self, decide: str) -> float | None:
        """The number that decides."""
        return self.worst if decide == "worst" else self.value


_UNMEASURED = _Reading(None, None, "not measured")
_NO_ENGINE = replace(
    _UNMEASURED,
    text="not measured: the reference was timed in no float engine; write 'of B0' for the "
    "reference as it is",
)
"""For a limit that names nothing: it means the fastest float engine."""


def judge(
    step: StepResult, limits: Sequence[Limit], report: Report, decide: str = "point"
) -> tuple[Verdict, ...]:
    """A verdict for each limit.

    ``decide`` says what is held against a limit: the ``point``, or the ``worst``, the one-sided 95
    % end on the bad side."""
    verdicts = []
    for limit in limits:
        reading = _reading(step, limit, report, decide)
        verdicts.append(_verdict(limit, reading, reading.deciding(decide)))
    return tuple(verdicts)


def verdict_on_step(name: str, budget: Budget, report: Report) -> StepBudgetOutcome:
    """The outcome of a step's own budget. The report must have the step."""
    step = next(step for step in report.steps if step.name == name)
    verdicts = judge(step, budget.limits, report, budget.decide)
    return StepBudgetOutcome(
        limits=tuple(limit.text for limit in budget.limits),
        on_miss=budget.on_miss,
        decide=budget.decide,
        of_recipe=budget.of_recipe,
        met=_meets_all(verdicts),
        verdicts=verdicts,
    )


def verdict_on_run(budget: Budget, report: Report) -> BudgetOutcome:
    """The outcome of the recipe's budget.

    Best is the fastest step that meets every limit. Without a quality limit it is the most
    accurate."""
    steps = _candidates(report)
    verdicts = {step.name: judge(step, budget.limits, report, budget.decide) for step in steps}
    meeting = [step for step in steps if _meets_all(verdicts[step.name])]
    best = min(meeting, key=lambda step: _rank(step, budget, report), default=None)
    nearest = min(steps, key=lambda step: shortfall(verdicts[step.name]), default=None)
    return BudgetOutcome(
        limits=tuple(limit.text for limit in budget.limits),
        on_miss=budget.on_miss,
        decide=budget.decide,
        met=best is not None,
        best=best.name if best else None,
        nearest=nearest.name if nearest and not best else None,
        verdicts=verdicts,
    )


def budget_missed(report: Report) -> bool:
    """Whether a budget was missed whose policy asks for more than a warning. A limit that a step
    has from the recipe's budget does not count: the recipe's own outcome does."""
    outcomes: list[StepBudgetOutcome | BudgetOutcome] = [
        outcome for outcome in report.step_budgets.values() if not outcome.of_recipe
    ]
    if report.budget:
        outcomes.append(report.budget)
    return any(not outcome.met and outcome.on_miss != "warn" for outcome in outcomes)


def _meets_all(verdicts: Sequence[Verdict]) -> bool:
    return all(verdict.met for verdict in verdicts)


def _candidates(report: Report) -> list[StepResult]:
    """The recipe's model and all steps of its task that answered the reference's examples. A
    teacher from outside is not among them: the recipe does not make it smaller."""
    return [
        step
        for step in comparable(report)
        if step.role in ("step", "reference") or step.name == MODEL
    ]


def _verdict(limit: Limit, reading: _Reading, value: float | None) -> Verdict:
    met, lacking = None, 1.0
    if value is not None:
        short = limit.value - value if limit.relation == ">=" else value - limit.value
        met, lacking = short <= 0, short / (limit.value or 1.0)
    return Verdict(
        quantity=limit.quantity,
        limit=limit.text,
        met=met,
        measured=reading.text,
        shortfall=max(0.0, lacking),
    )


# what a limit is held against


def _reading(step: StepResult, limit: Limit, report: Report, decide: str) -> _Reading:
    if limit.relative:
        return _relative(step, limit, report, decide)
    m = step.measurements.get(QUANTITIES[limit.quantity])
    if m is None:
        return _UNMEASURED
    return _read(_Known.of(m), limit, lambda value: shown(value, m.unit), "", decide)


def _relative(step: StepResult, limit: Limit, report: Report, decide: str) -> _Reading:
    """The share of quality kept, or how many times faster or smaller than the other artifact."""
    name = _other_name(limit, report)
    if name is None:
        means_engine = limit.quantity == "latency" and limit.of is None
        return _NO_ENGINE if means_engine and report.reference else _UNMEASURED
    known = _compared(step, limit.quantity, name, report)
    show = _share if limit.quantity == "quality" else _times
    return _read(known, limit, show, f" of {name}", decide)


def _other_name(limit: Limit, report: Report) -> str | None:
    """The artifact that a relative limit is against: the one that it names, else the reference, for
    speed in its fastest float engine."""
    is_speed = limit.quantity == "latency"
    default = report.fastest_float_engine if is_speed else report.reference
    as_it_is, in_fastest = BASELINES
    baselines = {as_it_is: report.reference, in_fastest: report.fastest_float_engine}
    return baselines.get(limit.of or "", limit.of or default)


def _read(
    known: _Known, limit: Limit, show: Callable[[float], str], of: str, decide: str
) -> _Reading:
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
    return _Reading(value, worst, text)


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


# which step is best


def _rank(step: StepResult, budget: Budget, report: Report) -> float:
    """Sort key; lower is better: time where quality is limited, else what quality lacks."""
    if any(limit.quantity == "quality" for limit in budget.limits):
        return _time(step, report)
    quality = step.measured(QUALITY)
    if quality is None or quality.value is None:
        return float("inf")
    return quality.value if quality.direction == "lower" else -quality.value


def _time(step: StepResult, report: Report) -> float:
    """Milliseconds at the reference's pace: its latency, divided by how many times faster the step
    was beside it. Steps are timed at different moments, so their own latencies count only where
    the two did not take turns."""
    reference = report.step(report.reference)
    pace = reference.value(LATENCY) if reference else None
    ratio = _speed_beside_reference(step)
    if pace is not None and ratio:
        return pace / ratio
    own = step.value(LATENCY)
    return float("inf") if own is None else own


def _speed_beside_reference(step: StepResult) -> float | None:
    against = step.against_reference
    ratio = against.compared(MEDIAN_SPEEDUP) if against else None
    return ratio.value if ratio else None
