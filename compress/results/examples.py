"""Which steps answered the test examples that the reference answered. Scores of other examples are
not compared with theirs."""

from __future__ import annotations

from compress.results.report import Report
from compress.results.step import StepResult


def same_examples(one: StepResult, other: StepResult) -> bool:
    """Whether the scores of two steps are of one task and of the same examples."""
    return one.task == other.task and one.test == other.test


def comparable(report: Report) -> list[StepResult]:
    """The steps of the recipe's task that answered the same examples as the reference, in the
    report's order."""
    examples = _examples(report)
    return [step for step in report.of_task() if step.test == examples]


def elsewhere(report: Report) -> list[str]:
    """Names of the steps of the recipe's task that answered other examples than the reference."""
    known = (_examples(report), None)
    return [step.name for step in report.of_task() if step.test not in known]


def _examples(report: Report) -> str | None:
    """The digest of the reference's examples; while it has answered none, that of the first step
    that has."""
    steps = sorted(report.of_task(), key=lambda step: step.name != report.reference)
    return next((step.test for step in steps if step.test), None)
