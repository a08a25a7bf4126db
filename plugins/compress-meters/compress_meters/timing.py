"""The common parts of meters of time. A sample is one round over the same calls; two
artifacts have their rounds in turns.

The time of each call in each round is kept (``rounds.Timings``), not a sum or mean.
Statistics over rounds need to know which timings are of the same call, and which of the
same moment.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from compress.measurement import Conditions, Direction, Measurement, absent
from compress.meter import Meter, Probe, Sample
from compress.quantities import MEAN_ANSWER
from compress_meters import rounds
from compress_meters.calls import Answering, Call, cannot_write
from compress_meters.conditions import no_rows
from compress_meters.rounds import Spread, Timings

RATIO_OF = "the time of all calls, each by the median of its ratios over the rounds"
"""What a speed ratio compares. The conditions of each ratio hold this text."""

_SETTLE_SECONDS = 0.02
"""How long calls run untimed when a side's turn begins. Enough for some calls of a small
model, and short compared with a round."""


@dataclass(frozen=True)
class Quantity:
    """Everything of a measurement but its value. With a ``title`` it is a column of the
    report's table."""

    name: str
    unit: str
    direction: Direction
    title: str = ""


class Timing(Meter):
    """A meter whose sample is the nanoseconds of each call of one round. ``quantities`` are
    its measurements, ``ratio`` is the comparison with another artifact."""

    takes_turns: ClassVar[bool] = True
    quantities: ClassVar[Sequence[Quantity]]
    ratio: ClassVar[Quantity]

    @abstractmethod
    def calls(self, probe: Probe) -> tuple[list[Call], Conditions]:
        """The calls of a round, and the conditions that every number of them states."""

    @abstractmethod
    def measurements(self, timings: Timings, stated: Conditions) -> list[Measurement]:
        """Measurements from all rounds."""

    def why_not(self, probe: Probe) -> str:
        """Why nothing can be timed; empty if something can."""
        return cannot_write(probe) if probe.features else no_rows(probe)

    def prepare(self, probe: Probe) -> None:
        """Build the calls and run each once. These times are not kept: a first run with a
        new shape also allocates memory and chooses kernels. A load that has run them before
        only settles."""
        if self.name in probe.state:
            self._settle(probe)
        elif not self.why_not(probe):
            calls, stated = self.calls(probe)
            nanoseconds = [call() for call in calls]
            cheapest = calls[nanoseconds.index(min(nanoseconds))]
            probe.state[self.name] = calls, {**stated, **_written(calls, stated)}, cheapest

    def sample(self, probe: Probe) -> Sample:
        """``nanoseconds`` of each call of one round, and the ``conditions``.

        Untimed calls come first. During the other side's turn the weights of this side left
        the caches, and its threads went to sleep. Without these calls the first examples of
        each round would look slow."""
        why = self.why_not(probe)
        if why:
            return {"absent": why}
        self._settle(probe)
        calls, stated, _ = probe.state[self.name]
        return {"nanoseconds": [call() for call in calls], "conditions": dict(stated)}

    def _settle(self, probe: Probe) -> None:
        """Repeat the cheapest call for some time: a long one could run far beyond it."""
        _, _, cheapest = probe.state[self.name]
        start = time.perf_counter()
        while time.perf_counter() - start < _SETTLE_SECONDS:
            cheapest()

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """Measurements from all rounds, or their absence."""
        if "absent" in samples[0]:
            why = samples[0]["absent"]
            return [absent(q.name, q.unit, q.direction, why, q.title) for q in self.quantities]
        stated = {**samples[0]["conditions"], **_extent(samples)}
        return self.measurements(timings_of(samples), stated)

    def compare(self, samples: Sequence[Sample], others: Sequence[Sample]) -> list[Measurement]:
        """How many times faster this side is than the other, from rounds in turns."""
        reason = samples[0].get("absent") or others[0].get("absent")
        if reason:
            return [absent(self.ratio.name, self.ratio.unit, self.ratio.direction, reason)]
        stated = {
            **samples[0]["conditions"],
            "ratio_of": RATIO_OF,
            "other": others[0]["conditions"],
            **_extent(samples),
        }
        return self.compared(timings_of(samples), timings_of(others), stated)

    def compared(self, own: Timings, other: Timings, stated: Conditions) -> list[Measurement]:
        """The other side's time over this one's: above 1 this side is faster."""
        return [measurement(self.ratio, rounds.ratio(other, own), len(own.times), stated)]

    def half_width(self, samples: Sequence[Sample], others: Sequence[Sample]) -> float:
        """The relative half-width of the ratio's interval; 0 if there is no ratio."""
        if "absent" in samples[0] or "absent" in others[0]:
            return 0.0
        return rounds.ratio(timings_of(others), timings_of(samples)).half_width


def timings_of(samples: Sequence[Sample]) -> Timings:
    """The nanoseconds of all rounds, float64 [rounds, calls], and the blocks of the rounds
    [rounds]. Every sample has the same calls, or the array would be ragged."""
    return Timings(
        np.array([s["nanoseconds"] for s in samples], dtype=np.float64),
        np.array([s["block"] for s in samples]),
    )


def ratio_named(name: str, title: str = "") -> Quantity:
    """A speed ratio: how many times faster than the other side."""
    return Quantity(name, "x", "higher", title)


def _written(calls: Sequence[Call], stated: Conditions) -> dict[str, float]:
    """The mean number of tokens of the answers, where calls generate those of ``examples``."""
    if "examples" not in stated or not all(isinstance(call, Answering) for call in calls):
        return {}
    tokens = sum(call.tokens for call in calls if isinstance(call, Answering))
    return {MEAN_ANSWER: round(tokens / stated["examples"], 1)}


def _extent(samples: Sequence[Sample]) -> dict[str, int]:
    """The number of rounds, and how often the artifacts were loaded for them. Blocks count
    from 0, so the last one has the number of loads less 1."""
    return {"rounds": len(samples), "loads": samples[-1]["block"] + 1}


def measurement(
    quantity: Quantity,
    spread: Spread,
    n: int,
    stated: Conditions,
    detail: Mapping[str, Any] | None = None,
) -> Measurement:
    """``quantity`` with the value and the intervals of ``spread``. ``worst`` is the
    one-sided end on the bad side."""
    return Measurement(
        quantity.name,
        spread.value,
        quantity.unit,
        quantity.direction,
        spread.low,
        spread.high,
        n,
        dict(stated),
        title=quantity.title,
        detail=detail or {},
        worst=spread.highest if quantity.direction == "lower" else spread.lowest,
    )
