"""Remarks on the differences of two runs, for reading before the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compress.report.diff.types import (
    Changed,
    LoneStep,
    MeasurementDifference,
    StepDifference,
)


def remarks(steps: Sequence[StepDifference | LoneStep], environment: Changed) -> tuple[str, ...]:
    """A sentence each for steps that only one run has, for timings and scores that cannot be
    compared directly, and for machines that differ."""
    both = [step for step in steps if isinstance(step, StepDifference)]
    lines = [
        f"{step.name} is only in the {step.run} run" for step in steps if isinstance(step, LoneStep)
    ]
    lines += _not_in_turns(both)
    for key, (first, second) in environment.items():
        lines.append(f"measured on a different machine or software: {key} {first} / {second}")
    return (*lines, *_other_task(both), *_other_examples(both), *_drifted(both))


def _not_in_turns(steps: Sequence[StepDifference]) -> Iterator[str]:
    if any(_timings(step) for step in steps):
        yield (
            "timings of the two runs were not taken in turns: a change counts only where 95 % "
            "intervals do not overlap; compress bench takes turns"
        )


def _other_task(steps: Sequence[StepDifference]) -> Iterator[str]:
    scored = [f"{step.name} ({' / '.join(step.scored)})" for step in steps if not step.same_task]
    if scored:
        yield (
            "scored for another task or by another metric, so quality is not compared, and what "
            f"was timed had other inputs: {'; '.join(scored)}"
        )


def _other_examples(steps: Sequence[StepDifference]) -> Iterator[str]:
    names = [step.name for step in steps if step.same_examples is False and step.same_task]
    if names:
        yield (
            "measured on other test examples, so scores are not compared, and what was timed had "
            f"other inputs: {', '.join(names)}"
        )


def _drifted(steps: Sequence[StepDifference]) -> Iterator[str]:
    """Timings of the same model that differ by more than chance. Then the machine has changed."""
    drifted = []
    for step in steps:
        if step.same_model:
            timings = [m for m in _timings(step) if m.significant]
            drifted += [f"{step.name} {m.name}" for m in timings]
    if drifted:
        yield (
            "the same model was timed differently, so the machine changed between the runs: "
            f"{', '.join(drifted)}"
        )


def _timings(step: StepDifference) -> list[MeasurementDifference]:
    """The measurements that were judged as timings of two moments."""
    return [m for m in step.measurements if m.basis == "not in turns"]
