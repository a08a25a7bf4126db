"""What a run knows of each artifact, and which engine runs the reference fastest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.artifact import Artifact
from compress.measurement import Measured


@dataclass(frozen=True)
class Record:
    """What is known of one artifact of a run; ``measured`` is None until it is measured.
    ``attempts`` are the tries of a step that backs off, of which it is one; ``conversion`` says
    that it is the reference in another engine; ``test`` is the sha256 of the examples that it
    answered."""

    name: str
    stage: str
    place: Path
    artifact: Artifact
    seconds: float
    cached: bool
    parent: str | None
    task: str | None = None
    measured: Measured | None = None
    attempts: Sequence[Mapping[str, Any]] = ()
    conversion: bool = False
    test: str | None = None

    def summary(self) -> dict[str, Any]:
        """What an event says of it."""
        values = self.measured.measurements if self.measured else {}
        return {
            "cached": self.cached,
            "seconds": round(self.seconds, 2),
            "measurements": {
                n: {"title": m.title, "value": m.value, "unit": m.unit}
                for n, m in values.items()
                if m.title
            },
        }


def fastest_float_engine(reference: str | None, records: Mapping[str, Record]) -> str | None:
    """Name of the record that runs the reference fastest in float: itself, or its conversion to
    another engine, by the ratio that was measured in turns. None where the reference is no float
    model or was not timed."""
    own = records.get(reference or "")
    if (
        own is None
        or own.artifact.traits.precision != "float"
        or _value(own, "latency_p50") is None
    ):
        return None
    speeds = {
        n: s
        for n, r in records.items()
        if r.conversion and (s := _speedup(r, own.name)) is not None
    }
    return max({own.name: 1.0, **speeds}.items(), key=lambda pair: pair[1])[0]


def _speedup(record: Record, reference: str) -> float | None:
    found = (
        record.measured.comparisons.get(reference, {}).get("speedup") if record.measured else None
    )
    return found.value if found else None


def _value(record: Record, name: str) -> float | None:
    found = record.measured.measurements.get(name) if record.measured else None
    return found.value if found else None
