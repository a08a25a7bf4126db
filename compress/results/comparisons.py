"""One artifact beside another of its task."""

from __future__ import annotations

from compress.measurement import Measurement, Number
from compress.results.part import ReportPart


class Change(ReportPart):
    """A value less the other's, and divided by the other's (None where that is 0)."""

    difference: Number
    quotient: Number | None


class Against(ReportPart):
    """A step beside another artifact of its task: ``changes`` of each measurement that both have,
    and what the meters say in ``comparisons``."""

    name: str
    changes: dict[str, Change]
    comparisons: dict[str, Measurement]

    def quotient(self, name: str) -> float | None:
        """The quotient of the two values of a measurement."""
        change = self.changes.get(name)
        return change.quotient if change else None

    def compared(self, name: str) -> Measurement | None:
        """A comparison that has a value."""
        comparison = self.comparisons.get(name)
        return comparison if comparison and comparison.value is not None else None
