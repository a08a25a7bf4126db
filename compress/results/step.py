"""One artifact in a report: a step, a model from outside, or the reference in another engine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from compress.artifact import Traits
from compress.measurement import Measurement, Values
from compress.results.against import Against
from compress.results.outcomes import Verdict
from compress.results.part import ReportPart

Role = Literal["input", "reference", "reference-engine", "step"]


class Usage(ReportPart):
    """How an artifact is used outside a run. Model cards show it."""

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
    """An artifact of a run with its measurements and its comparisons. ``task`` is the task that it
    was measured for."""

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
    notes: Values = Field(default_factory=dict, description="What its stage states of it.")
    measurements: dict[str, Measurement]
    against_reference: Against | None
    against_fastest: Against | None
    against_parent: Against | None
    against_named: tuple[Against, ...] = Field(
        description="Against the other steps that limits name."
    )

    @property
    def against_engine(self) -> Against | None:
        """Compared with the reference in its fastest float engine: what compression gained without
        the gain of the engine. None where that is the reference as it is."""
        fastest, reference = self.against_fastest, self.against_reference
        is_reference = fastest and reference and fastest.name == reference.name
        return None if is_reference else fastest

    def measured(self, name: str) -> Measurement | None:
        """The measurement of that name, if it has a value."""
        measurement = self.measurements.get(name)
        return measurement if measurement and measurement.value is not None else None

    def value(self, name: str) -> float | None:
        """The value of the measurement of that name."""
        measurement = self.measurements.get(name)
        return measurement.value if measurement else None

    def compared_with(self) -> list[Against]:
        """Every comparison with another artifact. One artifact may occur twice: the reference may
        also be the step before."""
        roles = (self.against_reference, self.against_fastest, self.against_parent)
        known = [against for against in roles if against is not None]
        return [*known, *self.against_named]
