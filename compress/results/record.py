"""What a run knows of each artifact while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.artifact import Artifact
from compress.measurement import Measured, Values
from compress.results.step import AttemptResult


@dataclass(frozen=True)
class Record:
    """One artifact of a run; ``measured`` is None until it is measured.

    ``attempts`` are all tries of a step that backs off, this one among them. ``conversion`` marks
    the reference in another engine. ``test`` is the sha256 of the examples that it answered."""

    name: str
    stage: str
    place: Path
    artifact: Artifact
    seconds: float
    cached: bool
    parent: str | None
    task: str | None = None
    measured: Measured | None = None
    attempts: Sequence[AttemptResult] = ()
    conversion: bool = False
    test: str | None = None

    def summary(self) -> Values:
        """JSON-ready values for the event at the end of its step: the measurements that have a
        column."""
        measurements = self.measured.measurements if self.measured else {}
        return {
            "cached": self.cached,
            "seconds": round(self.seconds, 2),
            "measurements": {
                name: {"title": m.title, "value": m.value, "unit": m.unit}
                for name, m in measurements.items()
                if m.title
            },
        }
