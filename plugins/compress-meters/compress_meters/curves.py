"""``latency_by_length`` and ``throughput_by_batch``: curves over fixed lengths and over batch sizes, of a thorough run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from compress.measurement import Measurement
from compress.meter import Effort, Probe, Rounds, Sample
from compress.predict import length_batches
from compress.sizes import positions
from compress.task import Features
from compress_meters import rounds
from compress_meters.conditions import chosen, timed_conditions
from compress_meters.rounds import Spread, Timings
from compress_meters.timing import Call, Timing, measurement, of_model, timings_of

LENGTHS = (16, 32, 64, 128, 512)
BATCHES = (1, 8, 32, 128)


class _Curve(Timing):
    """A meter whose calls belong to points of a curve: ``at`` in the conditions holds the point of each call."""

    efforts: ClassVar[tuple[Effort, ...]] = ("thorough",)
    axis: ClassVar[str]

    def rounds(self, effort: Effort) -> Rounds:
        """Eight rounds, each of another load, for an interval is as good as the loads are many; then on until the ratio at
        every point is known to 2 %."""
        return Rounds(8, 24, 0.02, 25.0, 1)

    def half_width(self, samples: Sequence[Sample], others: Sequence[Sample]) -> float:
        """Of the ratio's interval where it is widest."""
        if "absent" in samples[0] or "absent" in others[0]:
            return 0.0
        ats = (samples[0]["conditions"]["at"], others[0]["conditions"]["at"])
        return max(s.half_width for s in _ratios(timings_of(samples), timings_of(others), ats).values())

    def compared(self, own: Timings, other: Timings, stated: Mapping[str, Any]) -> list[Measurement]:
        """The ratio at each point as a curve; the value is that over all of them."""
        ats = (stated["at"], stated["other"]["at"])
        by_point = _ratios(own, other, ats)
        whole = rounds.ratio(_at(other, ats[1], list(by_point)), _at(own, ats[0], list(by_point)))
        said = {**_told(stated), "other": _told(stated["other"])}
        curve = self._curve([_point(x, spread) for x, spread in by_point.items()])
        return [measurement(self.ratio, whole, "x", "higher", len(own.times), said, detail=curve)]

    def _curve(self, points: Sequence[Sequence[float]]) -> dict[str, Any]:
        return {"curve": {"axis": self.axis, "points": [list(p) for p in points]}}


class LatencyByLength(_Curve):
    """Milliseconds for one example of a fixed length at batch 1; the value is that of the longest."""

    name: ClassVar[str] = "latency_by_length"
    summary: ClassVar[str] = "Milliseconds at batch 1 over lengths of 16 to 512 tokens"
    order: ClassVar[int] = 34
    ratio: ClassVar[str] = "speedup_by_length"
    absences: ClassVar[Any] = [("latency_by_length", "ms", "lower", "")]
    axis: ClassVar[str] = "tokens"
    repeats: ClassVar[int] = 4

    def prepare(self, probe: Probe) -> None:
        """As of any timing, where the model has positions for a length at all."""
        if _positions(probe) >= LENGTHS[0]:
            super().prepare(probe)

    def sample(self, probe: Probe) -> Sample:
        """As of any timing; absent for a model that has no positions for the shortest length."""
        if probe.features and _positions(probe) < LENGTHS[0]:
            return {"absent": f"the model has {_positions(probe)} positions, and the shortest length is {LENGTHS[0]}"}
        return super().sample(probe)

    def calls(self, probe: Probe) -> tuple[list[Call], Mapping[str, Any]]:
        """The model alone, on a test example that is repeated to each length that the model has positions for."""
        lengths = [n for n in LENGTHS if n <= _positions(probe)]
        batches = [probe.task.collate([_stretched(probe, n)], probe.processor) for n in lengths]
        stated = timed_conditions(probe, [_stretched(probe, lengths[-1])], 1)
        at = [n for n in lengths for _ in range(self.repeats)]
        return [of_model(probe, b) for b in batches for _ in range(self.repeats)], {**stated, "at": at}

    def measurements(self, timings: Timings, stated: Mapping[str, Any]) -> list[Measurement]:
        """``latency_by_length`` in ms."""
        spreads = {x: rounds.total(Timings(t.times / 1e6 / self.repeats, t.blocks))
                   for x, t in _by_point(timings, stated["at"]).items()}
        longest = max(spreads)
        return [measurement(self.name, spreads[longest], "ms", "lower", len(timings.times),
                            {**_told(stated), "length": longest, "lengths": sorted(spreads)},
                            detail=self._curve([_point(x, s) for x, s in spreads.items()]))]


class ThroughputByBatch(_Curve):
    """Examples in a second over batch sizes, at true lengths, batches made by length; the value is that of the largest."""

    name: ClassVar[str] = "throughput_by_batch"
    summary: ClassVar[str] = "Examples in a second over batches of 1 to 128"
    order: ClassVar[int] = 42
    ratio: ClassVar[str] = "throughput_speedup_by_batch"
    absences: ClassVar[Any] = [("throughput_by_batch", "examples/s", "higher", "")]
    axis: ClassVar[str] = "batch"
    examples: ClassVar[int] = 128

    def calls(self, probe: Probe) -> tuple[list[Call], Mapping[str, Any]]:
        """The model alone, over the same examples in batches of each size."""
        features = chosen(probe, self.examples)
        batches = [(size, probe.task.collate([features[i] for i in some], probe.processor))
                   for size in BATCHES for some in length_batches(probe.task, features, size)]
        stated = {**timed_conditions(probe, features, max(BATCHES)), "at": [size for size, _ in batches]}
        return [of_model(probe, b) for _, b in batches], stated

    def measurements(self, timings: Timings, stated: Mapping[str, Any]) -> list[Measurement]:
        """``throughput_by_batch`` in examples/s."""
        spreads = {x: rounds.per_second(rounds.total(t), stated["examples"] * 1e9)
                   for x, t in _by_point(timings, stated["at"]).items()}
        return [measurement(self.name, spreads[max(spreads)], "examples/s", "higher", len(timings.times), _told(stated),
                            detail=self._curve([_point(x, s) for x, s in spreads.items()]))]


def _ratios(own: Timings, other: Timings, ats: tuple[Sequence[int], Sequence[int]]) -> dict[int, Spread]:
    """How many times faster than the other at each point that both have; ``ats`` hold the point of each call."""
    mine, theirs = _by_point(own, ats[0]), _by_point(other, ats[1])
    return {x: rounds.ratio(theirs[x], mine[x]) for x in mine if x in theirs}


def _by_point(timings: Timings, at: Sequence[int]) -> dict[int, Timings]:
    """The timings of each point's calls."""
    return {int(x): _at(timings, at, [x]) for x in dict.fromkeys(at)}


def _at(timings: Timings, at: Sequence[int], points: Sequence[int]) -> Timings:
    return timings.of_calls(np.isin(at, points))


def _point(x: int, spread: Spread) -> list[float]:
    return [x, spread.value, spread.low, spread.high]


def _told(stated: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions without the point of each call, which only the curve needs."""
    return {key: value for key, value in stated.items() if key not in ("at", "other")}


def _stretched(probe: Probe, length: int) -> Features:
    """The first test example, repeated or cut to ``length`` tokens: what a token is does not matter to the time.

    Lists by token are stretched with it. Others hold positions, of which those that are cut go."""
    features = probe.features[0]
    count = probe.task.length(features)

    def stretched(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        if len(value) == count:
            return (value * (length // count + 1))[:length]
        return [x for x in value if not isinstance(x, int) or x < length]

    return {name: stretched(value) for name, value in features.items()}


def _positions(probe: Probe) -> float:
    """How many tokens the model takes, as its config says; no limit where it does not."""
    file = probe.artifact.folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    limit = positions(config)
    return float("inf") if limit is None else limit
