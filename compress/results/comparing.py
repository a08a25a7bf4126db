"""Comparing the records of a run with each other."""

from __future__ import annotations

from collections.abc import Mapping

from compress.measurement import Measured, Measurement
from compress.results.comparisons import Against, Change
from compress.results.record import Record


def against(record: Record, name: str | None, records: Mapping[str, Record]) -> Against | None:
    """A record beside the one called ``name``. None where that is no other artifact of the same
    task, or one of the two was not measured.

    Timings are ratios that were measured in turns. Scores, which have no unit, and whatever names
    ``examples`` among its conditions, are compared where both answered the same examples."""
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
    """A record beside the artifacts that it took turns with besides those that are ``known``: the
    steps that limits name."""
    names = record.measured.comparisons if record.measured else {}
    beside = [against(record, name, records) for name in names if name not in known]
    return tuple(one for one in beside if one is not None)


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
    return Change(difference=mine - theirs, quotient=mine / theirs if theirs else None)


def _is_of_examples(m: Measurement) -> bool:
    """Whether a number depends on the test examples."""
    return not m.unit or "examples" in m.conditions
