"""Whether a measurement of two runs differs by more than chance, and what that rests on.

``paired``: both artifacts answered the same examples, and the 95 % interval of the difference, as
the meter that kept the answers computes it, leaves out 0. ``not in turns``: timings of different
runs met different moments of the machine, so a change counts only where the 95 % intervals do not
overlap. ``intervals``: the same rule for what else has intervals. ``no interval``: nothing is
claimed. ``absent``: one of the two has no value. ``other task``: scores of different tasks, or
under different headline metrics, and ``other examples``: scores of different test examples; neither
are compared at all."""

from __future__ import annotations

from typing import NamedTuple

from compress.measurement import Measurement
from compress.quantities import QUALITY
from compress.report.diff.types import Basis

_TIMES = ("s", "ms", "us")


class Significance(NamedTuple):
    """What a judgement rests on, and whether the change is significant; None where that is not
    known."""

    basis: Basis
    significant: bool | None


def significance(
    first: Measurement, second: Measurement, paired: Measurement | None, apart: Basis | None
) -> Significance:
    """The judgement on a measurement of two runs. ``paired`` is the comparison example by example;
    ``apart`` is the reason why scores are not compared, where there is one."""
    if first.value is None or second.value is None:
        return Significance("absent", None)
    if apart is not None and is_score(first):
        return Significance(apart, None)
    if paired is not None and paired.low is not None and paired.high is not None:
        return Significance("paired", not paired.low <= 0 <= paired.high)
    overlap = _overlap(first, second)
    if overlap is None:
        return Significance("no interval", None)
    return Significance("not in turns" if is_timing(first.unit) else "intervals", not overlap)


def _overlap(first: Measurement, second: Measurement) -> bool | None:
    """Whether the two intervals overlap; None where an end is not known."""
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return None
    return first.high >= second.low and second.high >= first.low


def is_score(m: Measurement) -> bool:
    """Whether a measurement is of the answers: its quality, or any other number without a unit."""
    return m.name == QUALITY or m.unit == ""


def is_timing(unit: str) -> bool:
    """Whether a unit is a time or a number per second, which depends on the moment it was taken."""
    return unit in _TIMES or unit.endswith("/s")
