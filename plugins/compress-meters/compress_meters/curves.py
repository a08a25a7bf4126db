"""Curves over fixed lengths and over batch sizes, of the model alone and from text to
answer. Only in a thorough run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from compress.measurement import Conditions, Measurement, absent
from compress.meter import Effort, Probe, Rounds, Sample
from compress.task import Task, TextTaskOptions
from compress_meters import rounds
from compress_meters.calls import (
    FROM_TEXT_STATED,
    Call,
    from_text,
    of_model,
    of_model_stated,
)
from compress_meters.conditions import conditions, parts_at, row_batches, run_by, timed_places
from compress_meters.rounds import Spread, Timings
from compress_meters.stretched import most_tokens, stretched, stretched_row
from compress_meters.timing import Quantity, Timing, measurement, ratio_named, timings_of

LENGTHS = (16, 32, 64, 128, 512)
BATCHES = (1, 8, 32, 128)


class _Curve(Timing):
    """A meter with several calls for each point of a curve. ``at`` in the conditions holds
    the point of each call, int [calls]."""

    efforts: ClassVar[tuple[Effort, ...]] = ("thorough",)
    axis: ClassVar[str]
    design: ClassVar[Rounds] = Rounds(8, 24, 0.02, 25.0, 1, ceiling=300.0)

    def rounds(self, effort: Effort) -> Rounds:
        """Eight rounds (five from text to answer), then more until the ratio at every point
        is known to 2 % (3 %), or the time is over. Each round has a load of its own,
        because the width of an interval depends on the number of loads."""
        return self.design

    def stated(self, probe: Probe) -> Conditions:
        """The conditions that follow from the kind of call."""
        return of_model_stated(probe)

    def half_width(self, samples: Sequence[Sample], others: Sequence[Sample]) -> float:
        """The relative half-width of the ratio at the point where it is widest; 0 if the
        two have no point in common."""
        if "absent" in samples[0] or "absent" in others[0]:
            return 0.0
        ats = (samples[0]["conditions"]["at"], others[0]["conditions"]["at"])
        ratios = _ratios(timings_of(samples), timings_of(others), ats)
        return max((spread.half_width for spread in ratios.values()), default=0.0)

    def compared(self, own: Timings, other: Timings, stated: Conditions) -> list[Measurement]:
        """The ratio at each point as a curve; the value is the ratio over all points."""
        ats = (stated["at"], stated["other"]["at"])
        by_point = _ratios(own, other, ats)
        if not by_point:
            ratio, why = self.ratio, f"the two have no point in common over {self.axis}"
            return [absent(ratio.name, ratio.unit, ratio.direction, why)]
        whole = rounds.ratio(_at(other, ats[1], list(by_point)), _at(own, ats[0], list(by_point)))
        shown = {**_over_all(stated), "other": _over_all(stated["other"])}
        curve = self._curve([_point(x, spread) for x, spread in by_point.items()])
        return [measurement(self.ratio, whole, len(own.times), shown, detail=curve)]

    def _curve(self, points: Sequence[Sequence[float]]) -> dict[str, Any]:
        return {"curve": {"axis": self.axis, "points": [list(p) for p in points]}}


class _FromText(_Curve):
    """A curve from text to answer."""

    design: ClassVar[Rounds] = Rounds(5, 16, 0.03, 15.0, 1, ceiling=300.0)

    def stated(self, probe: Probe) -> Conditions:
        """The conditions that follow from the kind of call."""
        return FROM_TEXT_STATED


class LatencyByLength(_Curve):
    """Milliseconds for one example of a fixed length at batch 1; the value is that of the
    longest."""

    name: ClassVar[str] = "latency_by_length"
    summary: ClassVar[str] = "Milliseconds at batch 1 over lengths of 16 to 512 tokens"
    order: ClassVar[int] = 34
    ratio: ClassVar[Quantity] = ratio_named("speedup_by_length")
    quantities: ClassVar[Sequence[Quantity]] = (Quantity("latency_by_length", "ms", "lower"),)
    axis: ClassVar[str] = "tokens"
    repeats: ClassVar[int] = 4
    """Calls of each length in a round. One call alone is a noisy number: a point has no
    other examples, whose sum would be steadier."""

    @classmethod
    def measures(cls, task: type[Task[Any]]) -> bool:
        """A task whose answers are not generated: the lengths of those are stated by the meter
        ``generation``."""
        return not task.generates()

    def why_not(self, probe: Probe) -> str:
        """As of any timing; also that a model has no positions for the shortest length, or that
        the examples of the task have no lengths in tokens."""
        return super().why_not(probe) or _no_length(probe)

    def calls(self, probe: Probe) -> tuple[list[Call], Conditions]:
        """One test example, repeated or cut to each length that the model has positions
        for."""
        by_length = dict(self.call(probe, n) for n in LENGTHS if n <= most_tokens(probe))
        lengths = list(by_length)
        calls: list[Call] = []
        at: list[int] = []
        for length, call in by_length.items():
            calls += [call] * self.repeats
            at += [length] * self.repeats
        stated = {
            **run_by(probe),
            "batch": 1,
            "example": "the first, repeated or cut",
            "lengths": lengths,
            **self.stated(probe),
            "at": at,
        }
        if len(lengths) < len(LENGTHS):
            stated["left_out"] = f"lengths above the model's {most_tokens(probe)} positions"
        return calls, stated

    def call(self, probe: Probe, length: int) -> tuple[int, Call]:
        """The length, and a call of the model alone on an example of it."""
        return length, of_model(probe, [stretched(probe, length)])

    def measurements(self, timings: Timings, stated: Conditions) -> list[Measurement]:
        """Milliseconds, under the meter's name."""
        spreads = {}
        for length, timed in _by_point(timings, stated["at"]).items():
            # ``total`` sums over the repeats of a call. Divided by their number, the sum is
            # the time of one call.
            spreads[length] = rounds.total(Timings(timed.times / 1e6 / self.repeats, timed.blocks))
        longest = max(spreads)
        shown = {**_without_points(stated), "length": longest}
        curve = self._curve([_point(x, s) for x, s in spreads.items()])
        count = len(timings.times)
        return [measurement(self.quantities[0], spreads[longest], count, shown, detail=curve)]


class LatencyByLengthFromText(_FromText, LatencyByLength):
    """``LatencyByLength`` from text to answer: a text that is cut to each length,
    tokenization included."""

    name: ClassVar[str] = "latency_by_length_from_text"
    summary: ClassVar[str] = (
        "Milliseconds from one text to its answer over lengths of 16 to 512 tokens"
    )
    order: ClassVar[int] = 36
    ratio: ClassVar[Quantity] = ratio_named("speedup_by_length_from_text")
    quantities: ClassVar[Sequence[Quantity]] = (
        Quantity("latency_by_length_from_text", "ms", "lower"),
    )

    def call(self, probe: Probe, length: int) -> tuple[int, Call]:
        """The length that the text has in tokens, and a call from it to its answer."""
        row, task = stretched_row(probe, length)
        return task.length(task.features([row], probe.processor)[0]), from_text(probe, [row], task)


class ThroughputByBatch(_Curve):
    """Examples in a second over batch sizes, at true lengths, batches made by length; the
    value is that of the largest."""

    name: ClassVar[str] = "throughput_by_batch"
    summary: ClassVar[str] = "Examples in a second over batches of 1 to 128"
    order: ClassVar[int] = 42
    ratio: ClassVar[Quantity] = ratio_named("throughput_speedup_by_batch")
    quantities: ClassVar[Sequence[Quantity]] = (
        Quantity("throughput_by_batch", "examples/s", "higher"),
    )
    axis: ClassVar[str] = "batch"
    examples: ClassVar[int] = 128

    def calls(self, probe: Probe) -> tuple[list[Call], Conditions]:
        """The same examples in batches of each size, up to the number of examples."""
        some = timed_places(probe, self.examples)
        sizes = [size for size in BATCHES if size <= len(some)]
        calls: list[Call] = []
        at: list[int] = []
        for size in sizes:
            for batch in row_batches(probe, some, size):
                calls.append(self.call(probe, batch))
                at.append(size)
        stated = {
            **conditions(probe, some, max(sizes)),
            "batches": sizes,
            **self.stated(probe),
            "at": at,
        }
        if len(sizes) < len(BATCHES):
            stated["left_out"] = f"batches above the {len(some)} test examples"
        return calls, stated

    def call(self, probe: Probe, batch: Sequence[int]) -> Call:
        """A call of the model alone on the test examples at these places."""
        return of_model(probe, parts_at(probe, batch))

    def measurements(self, timings: Timings, stated: Conditions) -> list[Measurement]:
        """Examples in a second, under the meter's name."""
        spreads = {}
        for size, timed in _by_point(timings, stated["at"]).items():
            spreads[size] = rounds.per_second(rounds.total(timed), stated["examples"] * 1e9)
        largest = spreads[max(spreads)]
        curve = self._curve([_point(x, s) for x, s in spreads.items()])
        count, shown = len(timings.times), _without_points(stated)
        return [measurement(self.quantities[0], largest, count, shown, detail=curve)]


class ThroughputByBatchFromText(_FromText, ThroughputByBatch):
    """``ThroughputByBatch`` from texts to answers: tokenization, batching, the model and
    reading its outputs."""

    name: ClassVar[str] = "throughput_by_batch_from_text"
    summary: ClassVar[str] = "Examples in a second from texts to answers over batches of 1 to 128"
    order: ClassVar[int] = 44
    ratio: ClassVar[Quantity] = ratio_named("throughput_speedup_by_batch_from_text")
    quantities: ClassVar[Sequence[Quantity]] = (
        Quantity("throughput_by_batch_from_text", "examples/s", "higher"),
    )

    def call(self, probe: Probe, batch: Sequence[int]) -> Call:
        """A call from the test rows at these places to their answers."""
        return from_text(probe, [probe.rows[i] for i in batch])


def _no_length(probe: Probe) -> str:
    """Why no example can have the shortest length; empty if one can, or if there is none."""
    if not probe.features:
        return ""
    if not isinstance(probe.task.options, TextTaskOptions):
        return f"the examples of {probe.task.name} have no lengths in tokens to choose from"
    positions = most_tokens(probe)
    if positions >= LENGTHS[0]:
        return ""
    return f"the model has {positions} positions, and the shortest length is {LENGTHS[0]}"


def _ratios(
    own: Timings, other: Timings, ats: tuple[Sequence[int], Sequence[int]]
) -> dict[int, Spread]:
    """How many times faster than the other side, at each point that both have. ``ats`` are
    the points of the own calls and of the other's."""
    mine, theirs = _by_point(own, ats[0]), _by_point(other, ats[1])
    return {x: rounds.ratio(theirs[x], mine[x]) for x in mine if x in theirs}


def _by_point(timings: Timings, at: Sequence[int]) -> dict[int, Timings]:
    """The timings of each point's calls."""
    return {int(x): _at(timings, at, [x]) for x in dict.fromkeys(at)}


def _at(timings: Timings, at: Sequence[int], points: Sequence[int]) -> Timings:
    return timings.of_calls(np.isin(at, points))


def _point(x: int, spread: Spread) -> list[float]:
    return [x, spread.value, spread.low, spread.high]


def _without_points(stated: Conditions) -> dict[str, Any]:
    """The conditions without the point of each call, which only the curve needs."""
    return {key: value for key, value in stated.items() if key not in ("at", "other")}


def _over_all(stated: Conditions) -> Conditions:
    """The conditions of a value over all points. ``batch`` is left out if there were
    several sizes."""
    shown = _without_points(stated)
    if "batches" in shown:
        shown.pop("batch", None)
    return shown
