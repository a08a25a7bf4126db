"""The differences of two runs, computed from their reports and the samples that meters kept."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path

from compress.measure.guarded import GuardedMeter
from compress.report.diff.changed import changed
from compress.report.diff.remarks import remarks
from compress.report.diff.side import Side, read_side
from compress.report.diff.steps import step_difference
from compress.report.diff.types import (
    DIFF_VERSION,
    ComparedRun,
    Difference,
    LoneStep,
    RecipeDifference,
    StepDifference,
)
from compress.results.report import Report


def compare_folders(first: Path, second: Path, meters: Mapping[str, GuardedMeter]) -> Difference:
    """The differences of the runs in two folders. Raises UsageError for a folder that is not a
    run's, and IntegrityError for a broken file in it."""
    return compare_runs(read_side(first), read_side(second), meters)


def compare_runs(first: Side, second: Side, meters: Mapping[str, GuardedMeter]) -> Difference:
    """The differences from ``first`` to ``second``; every pair of values is in that order. Steps
    are matched by name."""
    environment = changed(
        first.report.environment.model_dump(mode="json"),
        second.report.environment.model_dump(mode="json"),
    )
    steps = _steps(first, second, meters)
    return Difference(
        diff_version=DIFF_VERSION,
        runs=(_run(first), _run(second)),
        environment=environment,
        recipe=_recipe(first.report, second.report),
        steps=steps,
        remarks=remarks(steps, environment),
    )


def _run(side: Side) -> ComparedRun:
    report = side.report
    return ComparedRun(
        folder=side.folder,
        name=report.name,
        state=report.state,
        seed=report.seed,
        effort=report.effort,
        compress_version=report.compress_version,
    )


def _recipe(first: Report, second: Report) -> RecipeDifference:
    lines = unified_diff(first.recipe.splitlines(), second.recipe.splitlines(), lineterm="", n=1)
    return RecipeDifference(
        lines=tuple(lines)[2:],  # without the two lines that name files
        overrides=(_only_in(first, second), _only_in(second, first)),
    )


def _only_in(report: Report, other: Report) -> tuple[str, ...]:
    return tuple(override for override in report.overrides if override not in other.overrides)


def _steps(
    first: Side, second: Side, meters: Mapping[str, GuardedMeter]
) -> tuple[StepDifference | LoneStep, ...]:
    """The steps of both runs: those of the first in its order, then those that only the second
    has."""
    names = [step.name for step in (*first.report.steps, *second.report.steps)]
    steps: list[StepDifference | LoneStep] = []
    for name in dict.fromkeys(names):
        one, other = first.report.step(name), second.report.step(name)
        if one and other:
            kept = (first.kept_of(name), second.kept_of(name))
            steps.append(step_difference(one, other, kept, meters))
        else:
            steps.append(LoneStep(name=name, run="first" if one else "second"))
    return tuple(steps)
