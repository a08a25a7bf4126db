"""Which steps have scores that can be compared: those that answered the same test examples as the
reference."""

from __future__ import annotations

from compress.results.report import Report
from compress.results.step import StepResult


def same_examples(one: StepResult, other: StepResult) -> bool:
    """Whether the scores of two steps are of one task and of the same examples."""
    return one.task == other.task and one.test == other.test


def comparable_steps(report: Report) -> list[StepResult]:
    """The steps of the recipe's task that answered the same examples as the reference, in the
    report's order."""
    examples = _examples(report)
    return [step for step in report.steps_of_task() if step.test == examples]


def incomparable_names(report: Report) -> list[str]:
    """Names of the steps of the recipe's task that answered other examples than the reference."""
    examples = _examples(report)
    tested = [step for step in report.steps_of_task() if step.test is not None]
    return [step.name for step in tested if step.test != examples]


def _examples(report: Report) -> str | None:
    """The digest of the examples that the reference answered. While it has answered none, those of
    the first step that has answered some."""
    steps = sorted(report.steps_of_task(), key=lambda step: step.name != report.reference)
    return next((step.test for step in steps if step.test), None)
