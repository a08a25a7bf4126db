"""One artifact compared with another of its task."""

from __future__ import annotations

from compress.measurement import Measurement
from compress.measurementforms import Number
from compress.results.part import ReportPart


class Change(ReportPart):
    """How a value differs from the other artifact's: value - other, and value / other (None where
    the other is 0)."""

    difference: Number
    quotient: Number | None


class Against(ReportPart):
    """A step compared with the artifact ``name``: the change of each measurement that both have,
    and the ``comparisons`` that meters made of the two."""

    name: str
    changes: dict[str, Change]
    comparisons: dict[str, Measurement]

    def quotient(self, name: str) -> float | None:
        """The quotient of the two values of a measurement."""
        change = self.changes.get(name)
        return change.quotient if change else None

    def compared(self, name: str) -> Measurement | None:
        """The comparison of that name, if it has a value."""
        comparison = self.comparisons.get(name)
        return comparison if comparison and comparison.value is not None else None
