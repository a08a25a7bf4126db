"""Budgets against a report: which limits each step meets, and which step is the best that meets
them all."""

from __future__ import annotations

from collections.abc import Sequence

from compress.planning.budget import Budget, Limit
from compress.planning.types import MODEL
from compress.quantities import LATENCY, MEDIAN_SPEEDUP, QUALITY
from compress.results.examples import comparable_steps
from compress.results.limitedvalues import LimitedValue, limited_value
from compress.results.outcomes import BudgetOutcome, StepBudgetOutcome, Verdict, shortfall
from compress.results.report import Report
from compress.results.step import StepResult


def judge(
    step: StepResult, limits: Sequence[Limit], report: Report, decide: str = "point"
) -> tuple[Verdict, ...]:
    """A verdict for each limit.

    ``decide`` says what is compared with a limit: the measured value (``point``), or its one-sided
    95 % end on the bad side (``worst``)."""
    verdicts = []
    for limit in limits:
        limited = limited_value(step, limit, report, decide)
        verdicts.append(_verdict(limit, limited, limited.deciding(decide)))
    return tuple(verdicts)


def verdict_on_step(name: str, budget: Budget, report: Report) -> StepBudgetOutcome:
    """The outcome of the budget of the step ``name``, which the report must have."""
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
    """Whether a budget was missed whose policy asks for more than a warning.

    The budget that a step has from the recipe does not count: the recipe's own outcome does."""
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
        for step in comparable_steps(report)
        if step.role in ("step", "reference") or step.name == MODEL
    ]


def _verdict(limit: Limit, limited: LimitedValue, value: float | None) -> Verdict:
    # What could not be measured lacks the whole of what was asked.
    met, lacking = None, 1.0
    if value is not None:
        short = limit.value - value if limit.relation == ">=" else value - limit.value
        met, lacking = short <= 0, short / (limit.value or 1.0)
    return Verdict(
        quantity=limit.quantity,
        limit=limit.text,
        met=met,
        measured=limited.text,
        shortfall=max(0.0, lacking),
    )


def _rank(step: StepResult, budget: Budget, report: Report) -> float:
    """Sort key; lower is better: the latency where quality is limited, else the quality, negated
    where higher is better."""
    if any(limit.quantity == "quality" for limit in budget.limits):
        return _latency(step, report)
    quality = step.measured(QUALITY)
    if quality is None or quality.value is None:
        return float("inf")
    return quality.value if quality.direction == "lower" else -quality.value


def _latency(step: StepResult, report: Report) -> float:
    """The step's latency in milliseconds, for comparing steps that were timed at different moments.

    It is the reference's latency divided by how many times faster the step was, measured in turns
    with it. Without that ratio it is the step's own latency."""
    reference = report.step(report.reference)
    reference_latency = reference.value(LATENCY) if reference else None
    ratio = _speed_against_reference(step)
    if reference_latency is not None and ratio:
        return reference_latency / ratio
    own = step.value(LATENCY)
    return float("inf") if own is None else own


def _speed_against_reference(step: StepResult) -> float | None:
    against = step.against_reference
    ratio = against.compared(MEDIAN_SPEEDUP) if against else None
    return ratio.value if ratio else None
