"""What a run does when a budget is missed. No other module of the run reads a report's verdicts."""

from __future__ import annotations

from compress.errors import BudgetMissed
from compress.planning import Step
from compress.results.outcomes import Verdict, verdict_text
from compress.results.report import Report
from compress.running.run import Run


def step_verdicts(run: Run, step: Step) -> tuple[Verdict, ...]:
    """The verdicts of a step's own budget."""
    return run.report("running").step_budgets[step.name].verdicts


def hold_step_to_budget(run: Run, step: Step, report: Report) -> None:
    """Note that a step misses its budget. Raise BudgetMissed where the run must stop."""
    outcome = report.step_budgets.get(step.name)
    if outcome is None or outcome.met:
        return
    text = f"{step.name} misses its budget: {verdict_text(outcome.verdicts)}"
    if outcome.on_miss == "fail":
        raise BudgetMissed(f"{text}; its model is kept")
    run.events.note(text)


def hold_run_to_budget(run: Run) -> None:
    """Raise BudgetMissed where no step meets a budget with ``on_miss: fail``. A bench has no steps,
    so it misses nothing."""
    budget = run.plan.budget
    if budget is None or budget.on_miss != "fail" or not run.plan.steps:
        return
    outcome = run.report("running").budget
    if outcome is None or outcome.met:
        return
    verdicts = verdict_text(outcome.verdicts.get(outcome.nearest or "", ()))
    raise BudgetMissed(
        f"no step meets the budget; nearest is {outcome.nearest}: {verdicts}; every model is kept"
    )


def best_step(report: Report) -> str | None:
    """The name of the step that meets the recipe's budget best."""
    return report.budget.best if report.budget else None
