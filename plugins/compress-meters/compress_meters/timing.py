"""The common parts of meters of time. A sample is one round over the same calls; two
artifacts have their rounds in turns.

The examples are real ones at their true lengths. Padded to one length, a model that is slow
on short inputs would look as good as any. A call runs from arrays to arrays on the host,
with copies to a GPU and back, as a user's call does. Tokenization is excluded unless a
meter states otherwise. Every engine shares it, so it would pull all ratios towards 1.

The time of each call in each round is kept (``rounds.Timings``), not a sum or mean.
Statistics over rounds need to know which timings are of the same call, and which of the
same moment.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from compress.measurement import Conditions, Direction, Measurement, absent
from compress.meter import Meter, Probe, Sample
from compress.predict import predict
from compress.task import Batch, Row, Task
from compress_meters import rounds
from compress_meters.conditions import no_rows
from compress_meters.rounds import Spread, Timings

Call = Callable[[], int]
"""Runs something once and returns the nanoseconds of that run."""

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

    def prepare(self, probe: Probe) -> None:
        """Build the calls and run each once. These times are not kept: a first run with a
        new shape also allocates memory and chooses kernels."""
        if probe.features:
            calls, stated = self.calls(probe)
            nanoseconds = [call() for call in calls]
            cheapest = calls[nanoseconds.index(min(nanoseconds))]
            probe.state[self.name] = calls, stated, cheapest

    def sample(self, probe: Probe) -> Sample:
        """``nanoseconds`` of each call of one round, and the ``conditions``.

        Untimed calls come first. During the other side's turn the weights of this side left
        the caches, and its threads went to sleep. Without these calls the first examples of
        each round would look slow. The cheapest call is repeated, because a long one could
        run far beyond the time that is needed."""
        if not probe.features:
            return {"absent": no_rows(probe)}
        calls, stated, cheapest = probe.state[self.name]
        start = time.perf_counter()
        while time.perf_counter() - start < _SETTLE_SECONDS:
            cheapest()
        return {"nanoseconds": [call() for call in calls], "conditions": dict(stated)}

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


def ratio_named(name: str) -> Quantity:
    """A speed ratio: how many times faster than the other side."""
    return Quantity(name, "x", "higher")


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


def on_the_clock(run: Callable[[], object]) -> Call:
    """A call timed by the host's clock."""

    def call() -> int:
        start = time.perf_counter_ns()
        run()
        return time.perf_counter_ns() - start

    return call


def of_model(probe: Probe, batch: Batch) -> Call:
    """A call of the model on a batch, from arrays to arrays.

    On a GPU the device's own events time it, if the session offers that: the host's clock
    would also count waits in the driver. Otherwise the host's clock times it."""
    elapsed = _elapsed(probe)
    if elapsed is None:
        return on_the_clock(partial(probe.session.run, batch))
    return lambda: round(elapsed(batch) * 1e6)  # milliseconds to nanoseconds


def of_model_stated(probe: Probe) -> dict[str, str]:
    """The conditions of calls of the model alone."""
    return {"tokenization": "excluded", "clock": "host" if _elapsed(probe) is None else "device"}


def from_text(probe: Probe, rows: Sequence[Row], task: Task[Any] | None = None) -> Call:
    """A call from rows to their answers, by the host's clock. ``task`` is by default the
    probe's."""
    return on_the_clock(partial(_answer, probe, rows, task or probe.task))


FROM_TEXT_STATED = {"tokenization": "included", "clock": "host"}
"""The conditions of calls from text to answer."""


def _answer(probe: Probe, rows: Sequence[Row], task: Task[Any]) -> object:
    features = task.features(rows, probe.processor)
    return predict(probe.session, task, probe.processor, rows, features, len(rows))


def _elapsed(probe: Probe) -> Callable[[Batch], float] | None:
    """The session's own clock: milliseconds of a batch. None on a processor, and for a
    session without such a clock."""
    elapsed: Callable[[Batch], float] | None = getattr(probe.session, "elapsed", None)
    return elapsed if probe.placement.device == "cuda" else None
