"""The numbers that pictures show: one measurement over the steps, and the ends of a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from compress.measurement import Measurement
from compress.quantities import SIZE
from compress.results.examples import comparable_steps
from compress.results.report import Report
from compress.results.step import StepResult


class Ends(NamedTuple):
    """The lowest and the highest number of a scale."""

    low: float
    high: float


@dataclass(frozen=True)
class Valued:
    """A step with a measurement of it that has a value."""

    step: StepResult
    measurement: Measurement
    value: float

    @property
    def name(self) -> str:
        """The step's name."""
        return self.step.name


def valued(step: StepResult, name: str) -> Valued | None:
    """The step with its measurement of that name; None where that has no value."""
    m = step.measurements.get(name)
    return Valued(step, m, m.value) if m is not None and m.value is not None else None


def measured_steps(report: Report, name: str) -> list[Valued]:
    """The steps of the recipe's task that have a value of the measurement, in the report's order.

    Only steps that answered the reference's examples count, except for sizes, which do not depend
    on examples."""
    steps = report.steps_of_task() if name == SIZE else comparable_steps(report)
    candidates = [valued(step, name) for step in steps]
    return [step for step in candidates if step is not None]


def known_numbers(m: Measurement) -> list[float]:
    """The value and the ends of its interval, without those that are not known."""
    return [number for number in (m.value, m.low, m.high) if number is not None]


def all_numbers(steps: list[Valued]) -> list[float]:
    """The known numbers of all steps."""
    numbers = []
    for step in steps:
        numbers += known_numbers(step.measurement)
    return numbers
