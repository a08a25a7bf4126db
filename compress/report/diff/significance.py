"""Whether a measurement of two runs differs by more than chance, and the basis of that judgement:

- ``paired``: both artifacts answered the same examples. The meter that kept the answers computes
  the 95 % interval of the difference. The change is significant if the interval leaves out 0.
- ``not in turns``: timings. The two runs met the machine at different moments, so a change is
  significant only if the 95 % intervals do not overlap.
- ``intervals``: the same rule, for other measurements that have intervals.
- ``no interval``: nothing is claimed.
- ``absent``: one of the two has no value.
- ``other task``: scores of different tasks or of different headline metrics. They are not compared.
- ``other examples``: scores of different test examples. They are not compared."""

from __future__ import annotations

from typing import NamedTuple

from compress.measurement import Measurement
from compress.quantities import QUALITY
from compress.report.diff.types import Basis

_TIMES = ("s", "ms", "us")


class Significance(NamedTuple):
    """The basis of a judgement, and whether the change is significant: None where that is not
    known."""

    basis: Basis
    significant: bool | None


def significance(
    first: Measurement, second: Measurement, paired: Measurement | None, not_compared: Basis | None
) -> Significance:
    """The judgement on a measurement of two runs. ``paired`` is the comparison example by example.
    ``not_compared`` is the reason why scores are not compared, or None."""
    if first.value is None or second.value is None:
        return Significance("absent", None)
    if not_compared is not None and _is_score(first):
        return Significance(not_compared, None)
    if paired is not None and paired.low is not None and paired.high is not None:
        return Significance("paired", not paired.low <= 0 <= paired.high)
    overlap = _overlap(first, second)
    if overlap is None:
        return Significance("no interval", None)
    return Significance("not in turns" if _is_timing(first.unit) else "intervals", not overlap)


def _overlap(first: Measurement, second: Measurement) -> bool | None:
    """Whether the two intervals overlap; None where an end is not known."""
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return None
    return first.high >= second.low and second.high >= first.low


def _is_score(m: Measurement) -> bool:
    """Whether a measurement judges the answers: the quality, and any other number without a
    unit."""
    return m.name == QUALITY or m.unit == ""


def _is_timing(unit: str) -> bool:
    """Whether a unit is a time, or a number per second: both depend on the moment of measuring."""
    return unit in _TIMES or unit.endswith("/s")
