"""The report of a run: what was made, what was measured, and what follows from it. ``report.json``
is its dump."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from compress.measurement import Values
from compress.measurementforms import Number
from compress.meter import Effort
from compress.results.outcomes import BudgetOutcome, StepBudgetOutcome
from compress.results.part import ReportPart
from compress.results.step import StepResult
from compress.store.summary import DataSummary

REPORT_VERSION: Literal[1] = 1

State = Literal["running", "finished", "failed", "interrupted"]


class ReportedTask(ReportPart):
    """The recipe's task with its options."""

    name: str
    options: Values


class ReportedData(ReportPart):
    """What the recipe's data are called. It names no place on the machine."""

    source: str
    name: str


class Seconds(ReportPart):
    """What making and measuring took."""

    making: float
    measuring: float


class Environment(ReportPart):
    """The machine and the versions of its libraries."""

    model_config = ConfigDict(extra="allow")

    python: str
    system: str
    processor: str
    features: tuple[str, ...]
    gpus: tuple[str, ...] = ()
    threads: int
    memory_bytes: Number
    versions: dict[str, str]


class Finding(ReportPart):
    """A warning about a step that brought no gain, or a model that learnt nothing."""

    step: str
    kind: str
    text: str


class Report(ReportPart):
    """What a run made and measured. The other views of a report are made from this alone."""

    model_config = ConfigDict(title="report.json of compress, version 1")

    report_version: Literal[1]
    compress_version: str
    state: State
    failure: str | None = Field(description="What ended a run that failed.")
    name: str
    recipe: str
    overrides: tuple[str, ...]
    seed: int
    task: ReportedTask
    data: ReportedData | None
    data_summaries: dict[str, DataSummary] = Field(
        default_factory=dict,
        description="What the data hold: `data` for the recipe's, `data of STEP` for a step's own.",
    )
    hub_models: tuple[str, ...]
    reference: str | None
    fastest_float_engine: str | None
    unmeasured_engines: dict[str, str] = Field(
        description="Why the reference is not measured in an engine, by the name that it would "
        "have there."
    )
    environment: Environment
    effort: Effort
    seconds: Seconds
    steps: tuple[StepResult, ...]
    findings: tuple[Finding, ...]
    budget: BudgetOutcome | None
    step_budgets: dict[str, StepBudgetOutcome]
    folder: str = Field(
        default="",
        exclude_if=lambda folder: not folder,
        description="The run's folder, in what commands print; not in the file.",
    )

    def step(self, name: str | None) -> StepResult | None:
        """The step of that name; None where there is none."""
        return next((step for step in self.steps if step.name == name), None)

    def steps_of_task(self) -> list[StepResult]:
        """The steps that were measured for the recipe's task, in order."""
        return [step for step in self.steps if step.task == self.task.name]
