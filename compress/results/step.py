"""What a report says of one artifact: a step, a model from outside, or the reference in another
engine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from compress.artifact import Traits
from compress.measurement import Measurement, Values
from compress.results.comparisons import Against
from compress.results.outcomes import Verdict
from compress.results.part import ReportPart

Role = Literal["input", "reference", "reference-engine", "step"]


class Usage(ReportPart):
    """How an artifact is used outside a run, for its model card."""

    library: str = Field(description="As the model hub names it.")
    pipeline_tag: str | None = Field(
        description="The model hub's name of the task; null where it has none."
    )
    packages: tuple[str, ...] = Field(description="Distributions that the code needs.")
    code: str = Field(description="Python that loads it, from the run's folder.")


class AttemptResult(ReportPart):
    """One try of a step that backs off."""

    options: Values
    digest: str
    seconds: float
    measuring_seconds: float
    verdicts: tuple[Verdict, ...]


class StepResult(ReportPart):
    """An artifact of a run with its measurements and its comparisons. ``task`` is what it was
    measured for."""

    name: str
    stage: str
    role: Role
    parent: str | None
    folder: str = Field(description="Relative to the run's folder.")
    digest: str
    base: str | None = Field(description="Hub id or folder name of the model that it starts from.")
    needs: tuple[str, ...]
    traits: Traits
    task: str | None
    options: Values
    seed: int | None
    seconds: float
    measuring_seconds: float
    cached: bool
    test: str | None = Field(
        description="sha256 of the test examples that it answered; null where there are none."
    )
    usage: Usage
    labels: tuple[str, ...]
    attempts: tuple[AttemptResult, ...] = Field(description="Tries of a step that backs off.")
    measurements: dict[str, Measurement]
    against_reference: Against | None
    against_fastest: Against | None
    against_parent: Against | None
    against_named: tuple[Against, ...] = Field(
        description="Against the other steps that limits name."
    )

    @property
    def against_engine(self) -> Against | None:
        """Against the reference in its fastest float engine, where that is not the reference as it
        is: what compression gained apart from what the engine did."""
        fastest, reference = self.against_fastest, self.against_reference
        is_reference = fastest and reference and fastest.name == reference.name
        return None if is_reference else fastest

    def measured(self, name: str) -> Measurement | None:
        """A measurement that has a value."""
        measurement = self.measurements.get(name)
        return measurement if measurement and measurement.value is not None else None

    def value(self, name: str) -> float | None:
        """The value of a measurement."""
        measurement = self.measurements.get(name)
        return measurement.value if measurement else None

    def beside(self) -> list[Against]:
        """Every artifact that it was compared with; twice where one has two parts (the reference
        may be the step before)."""
        parts = (self.against_reference, self.against_fastest, self.against_parent)
        return [*(part for part in parts if part is not None), *self.against_named]
