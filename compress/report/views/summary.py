"""The figures of the steps that count, a line each."""

from __future__ import annotations

from compress.report.best import best_step, final_steps
from compress.report.tables.changes import (
    quality_change,
    quality_direction,
    size_change,
    speed_change,
)
from compress.results.against import Against
from compress.results.report import Report
from compress.results.step import StepResult


def summary(report: Report) -> list[str]:
    """The figures of the best step that meets the budget. Without one, those of each step that no
    other was made from. None where no step was compared with the reference."""
    met = report.budget is not None and report.budget.best is not None
    best = best_step(report) if met else None
    steps = [best] if best else final_steps(report)
    pairs = [(step, step.against_reference) for step in steps]
    return [_figures(step, against) for step, against in pairs if against]


def _figures(step: StepResult, against: Against) -> str:
    engine = step.against_engine
    in_engine = f" ({speed_change(engine)} against {engine.name})" if engine else ""
    quality = quality_change(against, quality_direction(step))
    return (
        f"{step.name} against {against.name}: quality {quality}, speed "
        f"{speed_change(against)}{in_engine}, size {size_change(against)}"
    )
