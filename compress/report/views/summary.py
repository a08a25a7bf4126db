"""The report in one sentence, or a few."""

from __future__ import annotations

from compress.report.tables.changes import quality_change, size_change, speed_change
from compress.results.against import Against
from compress.results.report import Report
from compress.results.step import StepResult


def summary(report: Report) -> str:
    """A sentence on the best step that meets the budget. Without one, a sentence on each step that
    no other was made from."""
    sentences = [
        _sentence(step, step.against_reference)
        for step in _steps_to_sum_up(report)
        if step.against_reference
    ]
    return " ".join(sentences) or "No step can be compared with a reference."


def _steps_to_sum_up(report: Report) -> list[StepResult]:
    steps = [step for step in report.steps if step.role == "step" and step.against_reference]
    best = report.budget.best if report.budget else None
    parents = {step.parent for step in steps}
    last = [step for step in steps if step.name not in parents]
    return [step for step in steps if step.name == best] or last


def _sentence(step: StepResult, against: Against) -> str:
    engine = step.against_engine
    in_engine = f" ({speed_change(engine)} against {engine.name})" if engine else ""
    return (
        f"{step.name} against {against.name}: quality {quality_change(against)}, speed "
        f"{speed_change(against)}{in_engine}, size {size_change(against)}."
    )
