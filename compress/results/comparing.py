"""Comparing the records of a run with each other."""

from __future__ import annotations

from collections.abc import Mapping

from compress.measurement import Measured, Measurement
from compress.results.against import Against, Change
from compress.results.record import Record


def against(record: Record, name: str | None, records: Mapping[str, Record]) -> Against | None:
    """The record compared with the one called ``name``. None where there is no other record of that
    name and task, or where one of the two was not measured.

    Numbers that depend on the test examples are compared only where both answered the same
    examples."""
    other = records.get(name) if name else None
    if other is None or other is record or other.task != record.task:
        return None
    if record.measured is None or other.measured is None:
        return None
    return Against(
        name=other.name,
        changes=_changes(record.measured, other.measured, same_test=other.test == record.test),
        comparisons=record.measured.comparisons.get(other.name, {}),
    )


def against_named(
    record: Record, known: set[str | None], records: Mapping[str, Record]
) -> tuple[Against, ...]:
    """The record compared with every artifact that it was measured in turns with, except those that
    are ``known``. These are the steps that limits name."""
    names = record.measured.comparisons if record.measured else {}
    comparisons = [against(record, name, records) for name in names if name not in known]
    return tuple(comparison for comparison in comparisons if comparison is not None)


def _changes(own: Measured, other: Measured, *, same_test: bool) -> dict[str, Change]:
    changes = {}
    for name, mine in own.measurements.items():
        theirs = other.measurements.get(name)
        if theirs is None or (_is_of_examples(mine) and not same_test):
            continue
        if mine.value is not None and theirs.value is not None:
            changes[name] = _change(mine.value, theirs.value)
    return changes


def _change(mine: float, theirs: float) -> Change:
    return Change(difference=mine - theirs, quotient=mine / theirs if theirs > 0 else None)


def _is_of_examples(m: Measurement) -> bool:
    """Whether a number depends on the test examples: a score, which has no unit, or a measurement
    that names ``examples`` among its conditions."""
    return not m.unit or "examples" in m.conditions
