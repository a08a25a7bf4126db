"""The differences of a step that two runs have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from compress.measure.guarded import GuardedMeter
from compress.measurement import Measurement
from compress.quantities import QUALITY, difference_of
from compress.report.diff.changed import changed
from compress.report.diff.side import Kept
from compress.report.diff.significance import Significance, significance
from compress.report.diff.types import Basis, MeasurementDifference, StepDifference
from compress.results.step import StepResult


def step_difference(
    first: StepResult,
    second: StepResult,
    kept: tuple[Kept, Kept],
    meters: Mapping[str, GuardedMeter],
) -> StepDifference:
    """The differences of a step; ``kept`` holds the samples that meters kept of it in each run."""
    same_examples = first.test == second.test if first.test and second.test else None
    same_task = _same_task(first, second)
    paired = _paired(*kept, meters) if same_examples and same_task else {}
    not_compared = _why_not_compared(same_task=same_task, same_examples=same_examples)
    return StepDifference(
        name=first.name,
        run="both",
        same_model=first.digest == second.digest,
        same_examples=same_examples,
        same_task=same_task,
        scored=(_scored(first), _scored(second)),
        options=changed(first.options, second.options),
        stage=(first.stage, second.stage),
        measurements=tuple(
            _measurement(
                m, second.measurements[name], paired.get(difference_of(name)), not_compared
            )
            for name, m in first.measurements.items()
            if name in second.measurements
        ),
        paired=tuple(paired.values()),
        only_in=(_only_in(first, second), _only_in(second, first)),
    )


def _same_task(first: StepResult, second: StepResult) -> bool:
    """Whether both were scored for one task by one headline metric."""
    if first.task != second.task:
        return False
    one, other = first.measured(QUALITY), second.measured(QUALITY)
    return one is None or other is None or one.title == other.title


def _why_not_compared(*, same_task: bool, same_examples: bool | None) -> Basis | None:
    """Why scores are not compared; None where they are."""
    if not same_task:
        return "other task"
    return "other examples" if same_examples is False else None


def _scored(step: StepResult) -> str:
    """The task and the headline metric of a step: ``text-classification, accuracy``."""
    task, quality = step.task or "no task", step.measured(QUALITY)
    return f"{task}, {quality.title}" if quality else task


def _only_in(step: StepResult, other: StepResult) -> tuple[str, ...]:
    """Names of the measurements that only this one has."""
    return tuple(name for name in step.measurements if name not in other.measurements)


def _paired(
    first: Kept, second: Kept, meters: Mapping[str, GuardedMeter]
) -> dict[str, Measurement]:
    """The comparisons of second with first, example by example, by the meters that keep samples.
    Samples of two versions of a meter are not compared."""
    paired: dict[str, Measurement] = {}
    for name, meter in meters.items():
        before, after = first.samples.get(name), second.samples.get(name)
        same_meter = first.origins.get(name) == second.origins.get(name)
        if meter.keeps and before and after and same_meter:
            compared = meter.compare([dict(s) for s in after], [dict(s) for s in before])
            paired.update({m.name: m for m in compared})
    return paired


def _measurement(
    first: Measurement, second: Measurement, paired: Measurement | None, not_compared: Basis | None
) -> MeasurementDifference:
    """The difference of a measurement. ``not_compared`` is the reason why scores are not compared,
    or None."""
    judged = significance(first, second, paired, not_compared)
    difference = quotient = None
    comparable = judged.basis not in ("other task", "other examples")
    if comparable and first.value is not None and second.value is not None:
        difference = second.value - first.value
        quotient = second.value / first.value if first.value else None
    return MeasurementDifference(
        name=first.name,
        title=_title(first, second),
        unit=first.unit,
        direction=first.direction,
        values=(first.value, second.value),
        intervals=((first.low, first.high), (second.low, second.high)),
        absent=(first.absent, second.absent),
        difference=difference,
        quotient=quotient,
        basis=judged.basis,
        significant=judged.significant,
        better=_better(first, difference, judged),
        conditions=changed(first.conditions, second.conditions),
    )


def _better(
    first: Measurement, difference: float | None, judged: Significance
) -> Literal["first", "second"] | None:
    """The better run, where the change is significant."""
    if difference is None or not judged.significant or first.direction == "neither":
        return None
    return "second" if (difference > 0) == (first.direction == "higher") else "first"


def _title(first: Measurement, second: Measurement) -> str:
    """The title that both have, or the two, where the headline metrics differ."""
    return first.title if first.title == second.title else f"{first.title} / {second.title}"
