"""The tries of a step that backs off: what is known of each, which one counts, and whether another
is worth making."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compress.options import Options, flat
from compress.planning.budget import Budget
from compress.results.outcomes import Verdict, shortfall
from compress.results.record import Record
from compress.results.step import AttemptResult


@dataclass(frozen=True)
class Attempt:
    """One try: its options, what was made and measured, and the verdicts of the step's budget."""

    options: Options
    record: Record
    verdicts: tuple[Verdict, ...]

    @property
    def met(self) -> bool:
        """Whether it meets every limit."""
        return all(v.met for v in self.verdicts)

    def result(self) -> AttemptResult:
        """What the report says of it."""
        measured = self.record.measured
        return AttemptResult(
            options=self.options.model_dump(mode="json"),
            digest=self.record.artifact.digest,
            seconds=self.record.seconds,
            measuring_seconds=measured.seconds if measured else 0.0,
            verdicts=self.verdicts,
        )


def chosen(attempts: Sequence[Attempt]) -> Attempt:
    """The first attempt that meets the budget; where none does, the nearest, and of equally near
    ones the first."""
    return min(attempts, key=lambda a: (not a.met, shortfall(a.verdicts)))


def worth_another(attempts: Sequence[Attempt], budget: Budget) -> bool:
    """Whether taking less may still meet the budget: quality is missed by measurement, and a try is
    left. Less taken from a model makes it no smaller and no faster."""
    missed = any(v.met is False for v in attempts[-1].verdicts if v.quantity == "quality")
    return missed and len(attempts) <= budget.tries


def changed(before: Options, after: Options) -> str:
    """The options that differ, in words: ``feed_forward 0.25``, ``student.layers 3``."""
    old, new = flat(before.model_dump(mode="json")), flat(after.model_dump(mode="json"))
    return ", ".join(
        f"{name} {'none' if new[name] is None else new[name]}"
        for name in new
        if new[name] != old.get(name)
    )
