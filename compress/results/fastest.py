"""Which engine runs the reference fastest in float."""

from __future__ import annotations

from collections.abc import Mapping

from compress.planning import Plan
from compress.planning.conversions import asks_for_engines
from compress.quantities import LATENCY, SPEEDUP
from compress.results.record import Record


def fastest_float_engine(plan: Plan, records: Mapping[str, Record]) -> str | None:
    """Name of the fastest record of the reference in float: the reference itself, or its conversion
    to another engine. Speeds are ratios that were measured in turns.

    None where the reference is no float model or was not timed, and where no other engine is tried:
    which one is the fastest is then not known."""
    own = records.get(plan.reference or "")
    if own is None or not asks_for_engines(plan):
        return None
    if own.artifact.traits.precision != "float" or not _was_timed(own):
        return None
    speeds = {own.name: 1.0}
    for name, record in records.items():
        speed = _speed_against(record, own.name) if record.conversion else None
        if speed is not None:
            speeds[name] = speed
    return max(speeds, key=lambda name: speeds[name])


def _was_timed(record: Record) -> bool:
    latency = record.measured.measurements.get(LATENCY) if record.measured else None
    return latency is not None and latency.value is not None


def _speed_against(record: Record, reference: str) -> float | None:
    """How many times faster it was than the reference."""
    if record.measured is None:
        return None
    ratio = record.measured.comparisons.get(reference, {}).get(SPEEDUP)
    return ratio.value if ratio else None
