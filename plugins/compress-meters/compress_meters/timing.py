"""``latency`` and ``throughput``: what is timed is the model alone, from padded arrays to arrays on the host.

Tokenization is left out, because every engine shares it. The examples are real ones at their true lengths: padding all
to one length flatters whatever is bad at short inputs. Ratios come from rounds that took turns with another artifact's.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from compress.engine import Session
from compress.measurement import Measurement, absent
from compress.meter import Effort, Meter, Probe, Rounds, Sample
from compress.predict import length_batches
from compress.task import Batch
from compress_meters import bootstrap
from compress_meters.conditions import NO_TEST_ROWS, chosen, conditions


class _Timing(Meter):
    """A meter whose sample is one round over the same ``examples`` test examples in batches of ``batch``."""

    takes_turns: ClassVar[bool] = True
    examples: ClassVar[int]
    batch: ClassVar[int]

    def prepare(self, probe: Probe) -> None:
        """Collate the examples and run a whole round, so that each shape was seen and memory is there."""
        if not probe.features:
            return
        features = chosen(probe, self.examples)
        places = length_batches(probe.task, features, self.batch) if self.batch > 1 else [[i] for i in range(len(features))]
        batches = [probe.task.collate([features[i] for i in batch], probe.processor) for batch in places]
        probe.state[self.name] = (batches, conditions(probe, features, self.batch))
        _round(probe.session, batches)

    def sample(self, probe: Probe) -> Sample:
        """Nanoseconds of each batch of one round."""
        if not probe.features:
            return {"absent": NO_TEST_ROWS}
        batches, stated = probe.state[self.name]
        return {"nanoseconds": _round(probe.session, batches), "conditions": stated}

    @abstractmethod
    def measurements(self, times: np.ndarray, stated: Mapping[str, int]) -> list[Measurement]:
        """Measurements from nanoseconds [rounds, batches]."""

    @abstractmethod
    def absences(self, why: str) -> list[Measurement]:
        """The measurements, absent."""

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """Measurements from all rounds, or their absence."""
        if "absent" in samples[0]:
            return self.absences(samples[0]["absent"])
        return self.measurements(_times(samples), samples[0]["conditions"])


class Latency(_Timing):
    """Milliseconds for one example at batch 1: the median and the 95th percentile of all timings."""

    name: ClassVar[str] = "latency"
    summary: ClassVar[str] = "Milliseconds for one example at batch 1, tokenization excluded"
    order: ClassVar[int] = 30
    examples: ClassVar[int] = 64
    batch: ClassVar[int] = 1

    def rounds(self, effort: Effort) -> Rounds:
        """Ten rounds or more, until the ratios are narrow."""
        return {"quick": Rounds(5, 5), "standard": Rounds(10, 40), "thorough": Rounds(20, 80)}[effort]

    def measurements(self, times: np.ndarray, stated: Mapping[str, int]) -> list[Measurement]:
        """``latency_p50`` and ``latency_p95`` in ms."""
        milliseconds = times / 1e6
        return [self._percentile(milliseconds, level, stated, title) for level, title in ((50, "latency"), (95, ""))]

    def absences(self, why: str) -> list[Measurement]:
        """Both percentiles, absent."""
        return [absent("latency_p50", "ms", "lower", why, "latency"), absent("latency_p95", "ms", "lower", why)]

    def compare(self, samples: Sequence[Sample], others: Sequence[Sample]) -> list[Measurement]:
        """``speedup``: how many times faster than the other artifact, round beside round."""
        return _ratio("speedup", samples, others)

    def _percentile(self, times: np.ndarray, level: int, stated: Mapping[str, int], title: str) -> Measurement:
        low, high = bootstrap.of_rounds_and_examples(times, lambda t: np.percentile(t, level))
        return Measurement(f"latency_p{level}", float(np.percentile(times, level)), "ms", "lower", low, high, times.size,
                           {**stated, "rounds": len(times)}, title=title)


class Throughput(_Timing):
    """Examples in a second at batch 32, batches made by length: the median of the rounds."""

    name: ClassVar[str] = "throughput"
    summary: ClassVar[str] = "Examples in a second at batch 32, tokenization excluded"
    order: ClassVar[int] = 40
    examples: ClassVar[int] = 256
    batch: ClassVar[int] = 32

    def rounds(self, effort: Effort) -> Rounds:
        """Five rounds or more, until the ratios are narrow."""
        return {"quick": Rounds(3, 3), "standard": Rounds(5, 10), "thorough": Rounds(10, 20)}[effort]

    def measurements(self, times: np.ndarray, stated: Mapping[str, int]) -> list[Measurement]:
        """``throughput`` in examples/s."""
        rates = stated["examples"] / (times.sum(axis=1) / 1e9)
        low, high = bootstrap.of_median(rates)
        return [Measurement("throughput", float(np.median(rates)), "examples/s", "higher", low, high, len(rates),
                            {**stated, "rounds": len(rates)}, title="throughput")]

    def absences(self, why: str) -> list[Measurement]:
        """The rate, absent."""
        return [absent("throughput", "examples/s", "higher", why, "throughput")]

    def compare(self, samples: Sequence[Sample], others: Sequence[Sample]) -> list[Measurement]:
        """``throughput_speedup``: how many times more examples than the other artifact, round beside round."""
        return _ratio("throughput_speedup", samples, others)


def _round(session: Session, batches: Sequence[Batch]) -> list[int]:
    """Nanoseconds that each batch took."""
    taken = []
    for batch in batches:
        start = time.perf_counter_ns()
        session.run(batch)
        taken.append(time.perf_counter_ns() - start)
    return taken


def _times(samples: Sequence[Sample]) -> np.ndarray:
    """Nanoseconds [rounds, batches]."""
    return np.array([s["nanoseconds"] for s in samples], dtype=np.float64)


def _ratio(name: str, samples: Sequence[Sample], others: Sequence[Sample]) -> list[Measurement]:
    """The other's total time over this one's, in each round; the median of the rounds, which one disturbed round does not
    move, with an interval that keeps the two of a round together."""
    if "absent" in samples[0] or "absent" in others[0]:
        return [absent(name, "x", "higher", NO_TEST_ROWS)]
    ratios = _times(others).sum(axis=1) / _times(samples).sum(axis=1)
    low, high = bootstrap.of_median(ratios)
    return [Measurement(name, float(np.median(ratios)), "x", "higher", low, high, len(ratios),
                        {**samples[0]["conditions"], "other": others[0]["conditions"], "rounds": len(ratios)})]
