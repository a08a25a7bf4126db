"""The differences of two runs as types. ``compress diff --json`` prints their dump."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from compress.measurement import Direction, Measurement
from compress.measurementforms import Number
from compress.results.part import ReportPart
from compress.results.report import State

DIFF_VERSION: Literal[1] = 1

Pair = tuple[Any, Any]
"""The JSON-ready value in the first run, and in the second."""
Changed = dict[str, Pair]
"""The values that differ in two mappings, by dotted key. None stands for a missing key."""
Basis = Literal[
    "paired", "intervals", "not in turns", "no interval", "absent", "other task", "other examples"
]
"""The basis of a judgement on significance; the module ``significance`` explains each."""


class ComparedRun(ReportPart):
    """One of the two runs."""

    folder: str
    name: str
    state: State
    seed: int
    effort: str
    compress_version: str


class RecipeDifference(ReportPart):
    """Changed lines of the recipe with one line around them, and the overrides that only one run
    has."""

    lines: tuple[str, ...]
    overrides: tuple[tuple[str, ...], tuple[str, ...]]


class MeasurementDifference(ReportPart):
    """One measurement of a step that both runs have. Pairs are (first, second)."""

    name: str
    title: str
    unit: str
    direction: Direction
    values: tuple[Number | None, Number | None]
    intervals: tuple[tuple[Number | None, Number | None], tuple[Number | None, Number | None]]
    absent: tuple[str, str]
    difference: Number | None
    quotient: Number | None
    basis: Basis
    significant: bool | None
    better: Literal["first", "second"] | None
    conditions: Changed


class LoneStep(ReportPart):
    """A step that only one of the runs has."""

    name: str
    run: Literal["first", "second"] = Field(serialization_alias="in")


class StepDifference(ReportPart):
    """A step that both runs have. ``paired`` are comparisons of the second with the first, example
    by example."""

    name: str
    run: Literal["both"] = Field(serialization_alias="in")
    same_model: bool
    same_examples: bool | None
    same_task: bool
    scored: tuple[str, str]
    options: Changed
    stage: tuple[str, str]
    measurements: tuple[MeasurementDifference, ...]
    paired: tuple[Measurement, ...]
    only_in: tuple[tuple[str, ...], tuple[str, ...]]


class Difference(ReportPart):
    """The differences of two runs. ``remarks`` should be read before the numbers."""

    diff_version: Literal[1]
    runs: tuple[ComparedRun, ComparedRun]
    environment: Changed
    recipe: RecipeDifference
    steps: tuple[StepDifference | LoneStep, ...]
    remarks: tuple[str, ...]

    def in_both(self) -> list[StepDifference]:
        """The steps that both runs have."""
        return [step for step in self.steps if isinstance(step, StepDifference)]
