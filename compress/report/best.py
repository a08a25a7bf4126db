"""Which step a report puts first."""

from __future__ import annotations

from compress.quantities import SPEEDUP
from compress.results.examples import comparable_steps
from compress.results.report import Report
from compress.results.step import StepResult


def best_step(report: Report) -> StepResult | None:
    """The step that a reader wants to hear of first; None while nothing is compared with the
    reference.

    It is the best step of the recipe's budget, or the nearest if the budget was missed. Without a
    budget it is the fastest of the final steps whose scores can be compared."""
    budget = report.budget
    if budget and (budget.best or budget.nearest):
        return report.step(budget.best or budget.nearest)
    final = final_steps(report)
    comparable = [step for step in comparable_steps(report) if step in final]
    return max(comparable or final, key=_speed, default=None)


def final_steps(report: Report) -> list[StepResult]:
    """The steps that were compared with the reference and that no other was made from. In a report
    without steps (``compress bench``) they are the models that were compared."""
    compared = [step for step in report.steps if step.against_reference]
    made = [step for step in compared if step.role == "step"]
    candidates = made or [step for step in compared if step.role == "input"]
    parents = {step.parent for step in candidates}
    return [step for step in candidates if step.name not in parents]


def _speed(step: StepResult) -> float:
    """How many times faster than the reference it was; 0 where that was not measured."""
    ratio = step.against_reference.compared(SPEEDUP) if step.against_reference else None
    return ratio.value if ratio and ratio.value is not None else 0.0
