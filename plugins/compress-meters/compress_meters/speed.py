"""How fast an artifact answers real examples: ``latency`` and ``throughput``, of the model
alone and from text to answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from compress.measurement import Conditions, Measurement
from compress.meter import Effort, Probe, Rounds, Sample
from compress.predict import length_batches
from compress_meters import rounds
from compress_meters.calls import (
    FROM_TEXT_STATED,
    Call,
    from_text,
    of_model,
    of_model_stated,
)
from compress_meters.conditions import (
    conditions,
    first_parts,
    of_parts,
    parts_at,
    row_batches,
    timed_places,
)
from compress_meters.rounds import Timings
from compress_meters.timing import (
    Quantity,
    Timing,
    measurement,
    ratio_named,
    timings_of,
)

_PERCENTILES = (50, 95, 99)


class Latency(Timing):
    """Milliseconds for one example at batch 1: percentiles of all timings of 64 test
    examples, or of 32 at ``standard``. More examples would not help: one load of the model
    and some seconds of the machine change a ratio more than they do."""

    name: ClassVar[str] = "latency"
    summary: ClassVar[str] = "Milliseconds for one example at batch 1, tokenization excluded"
    order: ClassVar[int] = 30
    ratio: ClassVar[Quantity] = ratio_named("speedup")
    ratio_p50: ClassVar[Quantity] = ratio_named("speedup_p50")
    quantities: ClassVar[Sequence[Quantity]] = (
        Quantity("latency_p50", "ms", "lower", "latency"),
        Quantity("latency_p95", "ms", "lower"),
        Quantity("latency_p99", "ms", "lower"),
    )
    examples: ClassVar[Mapping[Effort, int]] = {"quick": 64, "standard": 32, "thorough": 64}

    def rounds(self, effort: Effort) -> Rounds:
        """Until the ratios are known to 1 % (0.5 % in a thorough run), or the time is
        over."""
        by_effort: dict[Effort, Rounds] = {
            "quick": Rounds(5, 5, ceiling=60.0),
            "standard": Rounds(12, 60, 0.01, 8.0, 2, ceiling=180.0),
            "thorough": Rounds(40, 200, 0.005, 45.0, 8, fresh=True, ceiling=600.0),
        }
        return by_effort[effort]

    def calls(self, probe: Probe) -> tuple[list[Call], Conditions]:
        """The model alone, on one example at a time; on its first part, where a task cuts
        examples."""
        some = timed_places(probe, self.examples[probe.effort])
        parts = first_parts(probe, some)
        stated = {**conditions(probe, some, 1), **of_parts(probe, parts), **of_model_stated(probe)}
        return [of_model(probe, [part]) for part in parts], stated

    def measurements(self, timings: Timings, stated: Conditions) -> list[Measurement]:
        """``latency_p50``, ``latency_p95`` and ``latency_p99`` in ms."""
        milliseconds, count = Timings(timings.times / 1e6, timings.blocks), timings.times.size
        percentiles = []
        for level, quantity in zip(_PERCENTILES, self.quantities, strict=True):
            spread = rounds.quantile(milliseconds, level / 100)
            percentiles.append(measurement(quantity, spread, count, stated))
        return percentiles

    def compared(self, own: Timings, other: Timings, stated: Conditions) -> list[Measurement]:
        """The ratio of the time of all examples, and the ratio of the medians
        (``..._p50``). Budgets limit latency by the second."""
        spread = rounds.quantile_ratio(other, own, 0.5)
        of_medians = {**stated, "ratio_of": "the medians (p50) of all timings"}
        medians = measurement(self.ratio_p50, spread, len(own.times), of_medians)
        return [*super().compared(own, other, stated), medians]

    def half_width(self, samples: Sequence[Sample], others: Sequence[Sample]) -> float:
        """The relative half-width of the wider interval: of the ratio of all time, or of
        the ratio of the medians."""
        whole = super().half_width(samples, others)
        if not whole:
            return whole
        medians = rounds.quantile_ratio(timings_of(others), timings_of(samples), 0.5)
        return max(whole, medians.half_width)


class FromText(Latency):
    """``Latency`` from text to answer: tokenization, batching, the model and reading its
    outputs."""

    name: ClassVar[str] = "latency_from_text"
    summary: ClassVar[str] = "Milliseconds from one text to its answer, tokenization included"
    efforts: ClassVar[tuple[Effort, ...]] = ("thorough",)
    order: ClassVar[int] = 32
    ratio: ClassVar[Quantity] = ratio_named("speedup_from_text")
    ratio_p50: ClassVar[Quantity] = ratio_named("speedup_from_text_p50")
    quantities: ClassVar[Sequence[Quantity]] = (
        Quantity("latency_from_text_p50", "ms", "lower"),
        Quantity("latency_from_text_p95", "ms", "lower"),
        Quantity("latency_from_text_p99", "ms", "lower"),
    )

    def rounds(self, effort: Effort) -> Rounds:
        """Until the ratios are known to 1 %."""
        return Rounds(12, 60, 0.01, 10.0, 2, ceiling=180.0)

    def calls(self, probe: Probe) -> tuple[list[Call], Conditions]:
        """A row at a time, through the task."""
        some = timed_places(probe, self.examples[probe.effort])
        stated = conditions(probe, some, 1)
        return [from_text(probe, [probe.rows[i]]) for i in some], {**stated, **FROM_TEXT_STATED}


class Throughput(Timing):
    """Examples in a second at batch 32, batches made by length: of 256 test examples, or of
    128 at ``standard``."""

    name: ClassVar[str] = "throughput"
    summary: ClassVar[str] = "Examples in a second at batch 32, tokenization excluded"
    order: ClassVar[int] = 40
    ratio: ClassVar[Quantity] = ratio_named("throughput_speedup")
    quantities: ClassVar[Sequence[Quantity]] = (
        Quantity("throughput", "examples/s", "higher", "throughput"),
    )
    examples: ClassVar[Mapping[Effort, int]] = {"quick": 256, "standard": 128, "thorough": 256}
    batch: ClassVar[int] = 32

    def rounds(self, effort: Effort) -> Rounds:
        """Until the ratios are known to 2 % (1 % in a thorough run), or the time is
        over."""
        by_effort: dict[Effort, Rounds] = {
            "quick": Rounds(3, 3, ceiling=60.0),
            "standard": Rounds(4, 20, 0.02, 6.0, 1, ceiling=180.0),
            "thorough": Rounds(12, 60, 0.01, 30.0, 3, fresh=True, ceiling=600.0),
        }
        return by_effort[effort]

    def calls(self, probe: Probe) -> tuple[list[Call], Conditions]:
        """The model alone, on batches of near-equal length."""
        some = timed_places(probe, self.examples[probe.effort])
        features = parts_at(probe, some)
        calls = []
        for batch in length_batches(probe.task, features, self.batch):
            calls.append(of_model(probe, [features[i] for i in batch]))
        return calls, {**conditions(probe, some, self.batch), **of_model_stated(probe)}

    def measurements(self, timings: Timings, stated: Conditions) -> list[Measurement]:
        """Examples in a second."""
        spread = rounds.per_second(rounds.total(timings), stated["examples"] * 1e9)
        return [measurement(self.quantities[0], spread, len(timings.times), stated)]


class ThroughputFromText(Throughput):
    """``Throughput`` from texts to answers: tokenization, batching, the model and reading
    its outputs."""

    name: ClassVar[str] = "throughput_from_text"
    summary: ClassVar[str] = (
        "Examples in a second from texts to answers at batch 32, tokenization included"
    )
    efforts: ClassVar[tuple[Effort, ...]] = ("thorough",)
    order: ClassVar[int] = 41
    ratio: ClassVar[Quantity] = ratio_named("throughput_speedup_from_text")
    quantities: ClassVar[Sequence[Quantity]] = (
        Quantity("throughput_from_text", "examples/s", "higher"),
    )

    def rounds(self, effort: Effort) -> Rounds:
        """Until the ratios are known to 2 %."""
        return Rounds(6, 20, 0.02, 10.0, 2, ceiling=180.0)

    def calls(self, probe: Probe) -> tuple[list[Call], Conditions]:
        """The rows of a batch at a time, through the task; batches are made by length, as
        without tokenization."""
        some = timed_places(probe, self.examples[probe.effort])
        calls = []
        for batch in row_batches(probe, some, self.batch):
            calls.append(from_text(probe, [probe.rows[row] for row in batch]))
        return calls, {**conditions(probe, some, self.batch), **FROM_TEXT_STATED}
