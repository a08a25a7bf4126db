"""One artifact compared with another of its task."""

from __future__ import annotations

from compress.measurement import Measurement
from compress.measurementforms import Number
from compress.quantities import QUALITY, QUALITY_KEPT
from compress.results.part import ReportPart


class Change(ReportPart):
    """How a value differs from the other artifact's: value - other, and value / other (None where
    the other is not above 0: a share of it means nothing)."""

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

    def quality_kept(self) -> float | None:
        """The share of the other's score that is kept: as it was paired on the same examples, else
        the quotient of the two. None where it is not known, and for a score below zero."""
        paired = self.comparisons.get(QUALITY_KEPT)
        share = paired.value if paired else self.quotient(QUALITY)
        return None if share is None or share < 0 else share
