"""What meters of time share: a sample is one round over the same calls, taken in turns with other
artifacts.

The examples are real ones at their true lengths: padding all to one length flatters whatever is bad
at short inputs. What is timed runs from arrays to arrays on the host; tokenization is left out
where a meter does not say otherwise, because every engine shares it.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from compress.measurement import Measurement, absent
from compress.meter import Meter, Probe, Sample
from compress.task import Batch, Row, Task
from compress_meters import rounds
from compress_meters.conditions import NO_TEST_ROWS
from compress_meters.rounds import Spread, Timings

Call = Callable[[], int]
"""Runs something; the nanoseconds that it took come back."""

RATIO_OF = "the time of all calls, each by the median of its ratios over the rounds"
"""What a speed ratio compares: long examples weigh as much as they take, and no call is left
out."""

_SETTLE_SECONDS = 0.02


class Timing(Meter):
    """A meter whose sample is the nanoseconds of each call of one round. ``absences`` are (name,
    unit, direction, title) of its measurements; ``ratio`` is the name of its comparison."""

    takes_turns: ClassVar[bool] = True
    absences: ClassVar[Sequence[tuple[str, str, Any, str]]]
    ratio: ClassVar[str]

    @abstractmethod
    def calls(self, probe: Probe) -> tuple[list[Call], Mapping[str, Any]]:
        """The calls of a round, and the conditions that every number of them states."""

    @abstractmethod
    def measurements(self, timings: Timings, stated: Mapping[str, Any]) -> list[Measurement]:
        """Measurements from all rounds."""

    def prepare(self, probe: Probe) -> None:
        """Make the calls and run a whole round, so that each shape was seen and memory is there."""
        if probe.features:
            calls, stated = self.calls(probe)
            took = [call() for call in calls]
            probe.state[self.name] = calls, stated, calls[took.index(min(took))]

    def sample(self, probe: Probe) -> Sample:
        """Nanoseconds of each call of one round, after calls that are not timed: the other side's
        turn left the caches and the other process's threads as they were. It is the call that took
        the least when all were prepared."""
        if not probe.features:
            return {"absent": NO_TEST_ROWS}
        calls, stated, cheapest = probe.state[self.name]
        start = time.perf_counter()
        while time.perf_counter() - start < _SETTLE_SECONDS:
            cheapest()
        return {"nanoseconds": [call() for call in calls], "conditions": dict(stated)}

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """Measurements from all rounds, or their absence."""
        if "absent" in samples[0]:
            return [
                absent(name, unit, direction, samples[0]["absent"], title)
                for name, unit, direction, title in self.absences
            ]
        return self.measurements(
            timings_of(samples), {**samples[0]["conditions"], **_extent(samples)}
        )

    def compare(self, samples: Sequence[Sample], others: Sequence[Sample]) -> list[Measurement]:
        """How many times faster than the other, both sides' rounds taken in turns."""
        reason = samples[0].get("absent") or others[0].get("absent")
        if reason:
            return [absent(self.ratio, "x", "higher", reason)]
        stated = {
            **samples[0]["conditions"],
            "ratio_of": RATIO_OF,
            "other": others[0]["conditions"],
            **_extent(samples),
        }
        return self.compared(timings_of(samples), timings_of(others), stated)

    def compared(
        self, own: Timings, other: Timings, stated: Mapping[str, Any]
    ) -> list[Measurement]:
        """The ratio of two sides' times, first of all ratios."""
        return [
            measurement(self.ratio, rounds.ratio(other, own), "x", "higher", len(own.times), stated)
        ]

    def half_width(self, samples: Sequence[Sample], others: Sequence[Sample]) -> float:
        """Of the ratio's interval."""
        if "absent" in samples[0] or "absent" in others[0]:
            return 0.0
        return rounds.ratio(timings_of(others), timings_of(samples)).half_width


def timings_of(samples: Sequence[Sample]) -> Timings:
    """The nanoseconds of all rounds."""
    return Timings(
        np.array([s["nanoseconds"] for s in samples], dtype=np.float64),
        np.array([s["block"] for s in samples]),
    )


def _extent(samples: Sequence[Sample]) -> dict[str, int]:
    return {"rounds": len(samples), "loads": samples[-1]["block"] + 1}


def measurement(
    name: str,
    spread: Spread,
    unit: str,
    direction: Any,
    n: int,
    stated: Mapping[str, Any],
    title: str = "",
    detail: Mapping[str, Any] | None = None,
) -> Measurement:
    """A measurement of a spread; its worst end is the one that lies on the bad side."""
    worst = spread.highest if direction == "lower" else spread.lowest
    return Measurement(
        name,
        spread.value,
        unit,
        direction,
        spread.low,
        spread.high,
        n,
        dict(stated),
        title=title,
        detail=detail or {},
        worst=worst,
    )


def on_the_clock(run: Callable[[], object]) -> Call:
    """A call timed by the host's clock."""

    def call() -> int:
        start = time.perf_counter_ns()
        run()
        return time.perf_counter_ns() - start

    return call


def of_model(probe: Probe, batch: Batch) -> Call:
    """A call of the model on a batch: timed by the device's own events on a GPU whose session
    offers them, else by the host's clock, from arrays to arrays."""
    elapsed = _elapsed(probe)
    if elapsed is None:
        return on_the_clock(partial(probe.session.run, batch))
    return lambda: round(elapsed(batch) * 1e6)


def of_model_stated(probe: Probe) -> dict[str, str]:
    """What is stated of calls of the model alone."""
    return {"tokenization": "excluded", "clock": "host" if _elapsed(probe) is None else "device"}


def from_text(probe: Probe, rows: Sequence[Row], task: Task[Any] | None = None) -> Call:
    """A call from rows to their answers, by the host's clock; ``task`` is the probe's where none is
    given."""
    return on_the_clock(partial(_answer, probe, rows, task or probe.task))


FROM_TEXT_STATED = {"tokenization": "included", "clock": "host"}
"""What is stated of calls from text to answer."""


def _answer(probe: Probe, rows: Sequence[Row], task: Task[Any]) -> object:
    features = task.features(rows, probe.processor)
    return task.predictions(probe.session.run(task.collate(features, probe.processor)), features)


def _elapsed(probe: Probe) -> Callable[[Batch], float] | None:
    found: Callable[[Batch], float] | None = getattr(probe.session, "elapsed", None)
    return found if probe.placement.device == "cuda" else None
