"""Meters of time, on a clock that sessions set forward and over timings that are made up."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compress_meters import calls, rounds, timing
from compress_meters.curves import (
    BATCHES,
    LatencyByLength,
    LatencyByLengthFromText,
    ThroughputByBatch,
    ThroughputByBatchFromText,
)
from compress_meters.rounds import Timings
from compress_meters.speed import FromText, Latency, Throughput, ThroughputFromText
from compress_meters.timing import Timing
from scipy.stats import t as student

from compress.artifact import Artifact, Manifest, Traits
from compress.engine import Placement
from compress.meter import EFFORTS, Effort, Meter, Probe
from compress.task import Task as AnyTask
from compress.task import TextTaskOptions

CURVES = (
    LatencyByLength(),
    LatencyByLengthFromText(),
    ThroughputByBatch(),
    ThroughputByBatchFromText(),
)
METERS = (Latency(), FromText(), Throughput(), ThroughputFromText(), *CURVES)
COUNTS = np.random.default_rng(7).integers(1, 30, size=60)


class Task:
    """A row is its number of tokens."""

    options = TextTaskOptions()
    answer, join, prompts = AnyTask.answer, AnyTask.join, AnyTask.prompts

    def length(self, features: Mapping[str, Any]) -> int:
        return len(features["input_ids"])

    def group(self, features: Mapping[str, Any]) -> int:
        return 0

    def features(self, rows: Sequence[Mapping[str, Any]], processor: Any) -> list[dict[str, Any]]:
        return [{"input_ids": [7] * int(row["tokens"]), "id": row["id"]} for row in rows]

    def collate(
        self, features: Sequence[Mapping[str, Any]], processor: Any
    ) -> dict[str, np.ndarray]:
        return {
            "input_ids": np.ones((len(features), max(map(self.length, features))), dtype=np.int64)
        }

    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Any]
    ) -> list[dict[str, Any]]:
        return [{} for _ in batch]


class Clock:
    """Goes on by what sessions take, and by a microsecond whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 1e-6
        return self.now

    def perf_counter_ns(self) -> int:
        return round(self.perf_counter() * 1e9)


CLOCK = Clock()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the machine does besides is not in the timings of these tests."""
    monkeypatch.setattr(timing, "time", CLOCK)
    monkeypatch.setattr(calls, "time", CLOCK)
    yield


class Session:
    """Takes ``seconds`` for a call and ``each`` for a token; notes the shapes it sees."""

    inputs = ("input_ids",)

    def __init__(self, seconds: float = 0.0, each: float = 0.0) -> None:
        self.seconds, self.each = seconds, each
        self.shapes: list[tuple[int, ...]] = []

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        CLOCK.now += self.seconds + self.each * batch["input_ids"].size
        self.shapes.append(batch["input_ids"].shape)
        return {}


def probe(
    folder: Path,
    session: Session,
    *,
    rows: bool = True,
    positions: int | None = None,
    effort: Effort = "thorough",
) -> Probe:
    (folder / "config.json").write_text(
        json.dumps({"max_position_embeddings": positions} if positions else {})
    )
    some = [{"id": f"r{i}", "tokens": int(n)} for i, n in enumerate(COUNTS)] if rows else []
    task: Any = Task()
    return Probe(
        Artifact(folder, Manifest(Traits(), {}, "step", "stage")),
        "toy",
        session,
        Placement("cpu", 1),
        task,
        None,  # type: ignore[arg-type]
        some,
        [],
        task.features(some, None),
        {},
        0.0,
        effort,
    )


def taken(meter: Meter, on: Probe, count: int) -> list[dict[str, Any]]:
    """A preparation, then JSON-ready samples; ``shapes`` of the session are those of the timed
    calls of the last one."""
    meter.prepare(on)
    samples = [
        json.loads(json.dumps({**meter.sample(on), "block": 0}, allow_nan=False))
        for _ in range(count)
    ]
    session: Any = on.session
    session.shapes = session.shapes[-len(samples[0].get("nanoseconds", [])) :]
    return samples


def timed(*milliseconds: Sequence[float]) -> list[dict[str, Any]]:
    return [
        {"nanoseconds": [s * 1e6 for s in r], "conditions": {"examples": len(r)}, "block": 0}
        for r in milliseconds
    ]


def test_latency_is_of_single_examples_at_their_own_length(tmp_path: Path) -> None:
    session = Session(seconds=0.001)
    samples = taken(Latency(), probe(tmp_path, session), 3)
    assert sorted(session.shapes) == sorted((1, int(n)) for n in COUNTS)
    middle, tail, end = Latency().summarise(samples)
    assert [m.name for m in (middle, tail, end)] == ["latency_p50", "latency_p95", "latency_p99"]
    assert [m.title for m in (middle, tail, end)] == ["latency", "", ""]
    assert 1.0 <= middle.low <= middle.value <= middle.worst <= middle.high < 1.01
    assert middle.value <= tail.value <= end.value
    assert middle.n == 180 and middle.conditions["batch"] == 1 and middle.conditions["rounds"] == 3


def test_a_standard_run_times_half_of_the_examples(tmp_path: Path) -> None:
    for meter, count, examples in ((Latency(), 32, 32), (Throughput(), 2, 60)):
        (sample,) = taken(meter, probe(tmp_path, Session(seconds=0.001), effort="standard"), 1)
        assert (len(sample["nanoseconds"]), sample["conditions"]["examples"]) == (count, examples)
    assert Throughput.examples["standard"] == 128 == Throughput.examples["thorough"] // 2


def test_calls_that_warm_up_are_not_timed(tmp_path: Path) -> None:
    session = Session(seconds=0.002)
    on = probe(tmp_path, session)
    Latency().prepare(on)
    before = len(session.shapes)
    sample = Latency().sample(on)
    assert before == 60 and len(sample["nanoseconds"]) == 60
    assert 60 + 5 < len(session.shapes) - before <= 60 + 11  # 20 ms of calls that take 2


@pytest.mark.parametrize("meter", [Throughput(), LatencyByLength(), ThroughputByBatch()])
def test_the_cheapest_call_warms_up(meter: Timing, tmp_path: Path) -> None:
    session = Session(each=0.0001)
    on = probe(tmp_path, session, positions=512)
    meter.prepare(on)
    cheapest, before = (
        min(session.shapes, key=lambda shape: shape[0] * shape[1]),
        len(session.shapes),
    )
    timings = len(meter.sample(on)["nanoseconds"])
    assert set(session.shapes[before:-timings]) == {cheapest}


def test_a_machine_that_is_slower_for_some_rounds_is_so_for_both() -> None:
    """A third of the time; the median of a side's times may fall into either state."""
    generator, blocks = np.random.default_rng(3), np.repeat(np.arange(6), 2)
    for share in (0.3, 0.5, 0.7):
        state = np.where(generator.random((12, 1)) < share, 1.25, 1.0)
        one, other = (
            scale * state * generator.lognormal(0.0, 0.003, (12, 32)) for scale in (3.0, 2.0)
        )
        found = rounds.ratio(Timings(one, blocks), Timings(other, blocks))
        assert found.value == pytest.approx(1.5, rel=0.003) and found.half_width < 0.005


def test_rounds_of_other_calls_are_compared_by_their_totals() -> None:
    one, other = np.full((6, 4), 3.0), np.full((6, 6), 1.0)
    blocks = np.repeat(np.arange(3), 2)
    assert rounds.ratio(Timings(one, blocks), Timings(other, blocks)).value == 2.0


def test_a_load_that_has_run_the_calls_before_only_settles(tmp_path: Path) -> None:
    session = Session(seconds=0.005, each=0.0001)
    on, meter = probe(tmp_path, session), Latency()
    meter.prepare(on)
    first = meter.sample(on)
    session.shapes.clear()
    meter.prepare(on)
    assert len(set(session.shapes)) == 1, "no call but the cheapest one"
    assert meter.sample(on)["nanoseconds"] == pytest.approx(first["nanoseconds"], rel=0.01)
    on.state = {}  # another load
    session.shapes.clear()
    meter.prepare(on)
    assert len(session.shapes) == len(first["nanoseconds"])


def test_a_gpu_s_own_events_are_taken_where_the_session_has_them(tmp_path: Path) -> None:
    class Events(Session):
        def elapsed(self, batch: Mapping[str, np.ndarray]) -> float:
            return 7.0

    on = probe(tmp_path, Events())
    assert Latency().summarise(taken(Latency(), on, 2))[0].value < 7  # type: ignore[operator]
    on = probe(tmp_path, Events())
    on.placement = Placement("cuda", 1)
    assert Latency().summarise(taken(Latency(), on, 2))[0].value == pytest.approx(7.0)


def test_percentiles_are_those_of_all_timings() -> None:
    given = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]
    for level, found in zip((50, 95, 99), Latency().summarise(timed(*given)), strict=True):
        assert found.value == pytest.approx(np.percentile(given, level))


def test_a_speedup_compares_round_with_round_so_that_a_slow_machine_cancels_out() -> None:
    slow = [1.0, 1.0, 5.0, 1.0, 3.0, 1.0]
    fast, other = timed(*([s, s] for s in slow)), timed(*([2.5 * s, 3.5 * s] for s in slow))
    speedup, medians = Latency().compare(fast, other)
    assert (speedup.name, speedup.unit, speedup.n) == ("speedup", "x", 6)
    assert (medians.name, medians.unit, medians.n) == ("speedup_p50", "x", 6)
    assert medians.value == pytest.approx(3.5) and medians.low <= medians.value <= medians.high  # type: ignore[operator]
    assert (speedup.value, speedup.low, speedup.high, speedup.worst) == pytest.approx(
        (3.0, 3.0, 3.0, 3.0)
    )
    assert Latency().compare(other, fast)[0].value == pytest.approx(1 / 3)
    assert Latency().half_width(fast, other) == pytest.approx(0.0)


def test_one_disturbed_round_or_call_does_not_move_a_speedup() -> None:
    other = timed(*[[2.0, 2.0]] * 10)
    assert Latency().compare(timed(*[[1.0, 1.0]] * 9, [9.0, 9.0]), other)[0].value == pytest.approx(
        2.0
    )
    assert Latency().compare(timed(*[[1.0, 1.0]] * 8, [9.0, 1.0], [1.0, 9.0]), other)[
        0
    ].value == pytest.approx(2.0)


def noisy(
    generator: np.random.Generator, blocks: int, rounds_each: int, between: float
) -> tuple[Timings, Timings]:
    """Two sides of equal speed: noise of rounds that meets both, and noise of calls and of blocks
    that meets each alone."""
    numbers = np.repeat(np.arange(blocks), rounds_each)
    together = generator.lognormal(0, 0.2, size=(len(numbers), 1))
    one, other = (
        together
        * generator.lognormal(0, between, size=(blocks, 1))[numbers]
        * generator.lognormal(0, 0.05, size=(len(numbers), 30))
        for _ in range(2)
    )
    return Timings(one, numbers), Timings(other, numbers)


@pytest.mark.parametrize(("blocks", "between"), [(1, 0.0), (3, 0.005), (15, 0.005)])
def test_the_interval_of_a_ratio_covers_the_truth_as_often_as_it_says(
    blocks: int, between: float
) -> None:
    generator, covered = np.random.default_rng(1), 0
    for _ in range(60):
        found = rounds.ratio(*noisy(generator, blocks, 4, between))
        covered += found.low <= 1 <= found.high
    assert covered >= 53  # of 60


def test_rounds_of_one_load_are_no_proof_against_what_loading_does() -> None:
    """Where each load has a speed of its own, rounds that are taken for independent make intervals
    too narrow."""
    generator, covered = np.random.default_rng(1), 0
    for _ in range(60):
        one, other = noisy(generator, 3, 8, 0.02)
        blind = np.zeros(24)
        found = rounds.ratio(Timings(one.times, blind), Timings(other.times, blind))
        covered += found.low <= 1 <= found.high
    assert covered < 45


def test_the_interval_of_a_tail_stays_within_what_was_seen() -> None:
    wild = np.random.default_rng(4).lognormal(0, 2, size=(5, 64))
    tail, middle = (rounds.quantile(Timings(wild, np.zeros(5)), level) for level in (0.99, 0.5))
    assert middle.value < tail.low <= tail.value <= tail.high <= wild.max()


def test_the_interval_of_a_ratio_stays_above_nothing() -> None:
    wild = np.random.default_rng(3).lognormal(0, 3, size=(2, 5, 2))
    found = rounds.ratio(*(Timings(times, np.arange(5)) for times in wild))
    assert 0 < found.low <= found.lowest <= found.value <= found.highest <= found.high


def test_a_ratio_finds_a_few_percent_under_noise_that_is_larger() -> None:
    one, other = noisy(np.random.default_rng(2), 10, 4, 0.005)
    found = rounds.ratio(Timings(1.03 * one.times, one.blocks), other)
    assert found.low > 1.0 and found.half_width < 0.02


def test_student_s_quantiles_are_those_of_scipy() -> None:
    assert pytest.approx(student.ppf(0.975, range(1, 21)), abs=5e-4) == rounds._STUDENT
    assert pytest.approx(student.ppf(0.95, range(1, 21)), abs=5e-4) == rounds._STUDENT_ONE_SIDED


def test_worst_is_the_one_sided_end_on_the_bad_side() -> None:
    generator = np.random.default_rng(3)
    samples = [timed(*generator.lognormal(0, 0.3, size=(12, 9))) for _ in range(2)]
    latency = Latency().summarise(samples[0])[0]
    assert latency.value < latency.worst < latency.high  # type: ignore[operator]
    speedup = Latency().compare(*samples)[0]
    assert speedup.low < speedup.worst < speedup.value  # type: ignore[operator]


def test_throughput_counts_examples_in_batches_of_near_equal_length(tmp_path: Path) -> None:
    session = Session(seconds=0.002)
    samples = taken(Throughput(), probe(tmp_path, session), 3)
    assert [shape[0] for shape in session.shapes] == [32, 28] and session.shapes[0][
        1
    ] == COUNTS.max()
    (rate,) = Throughput().summarise(samples)
    assert rate.unit == "examples/s" and 10_000 < rate.value <= 15_000  # 60 in two batches of 2 ms
    assert rate.low <= rate.worst <= rate.value <= rate.high  # type: ignore[operator]
    (gain,) = Throughput().compare(samples, samples)
    assert gain.name == "throughput_speedup" and gain.value == 1.0


def test_from_text_to_answer_takes_longer_by_the_task_s_own_work(tmp_path: Path) -> None:
    class Slow(Task):
        def features(
            self, rows: Sequence[Mapping[str, Any]], processor: Any
        ) -> list[dict[str, Any]]:
            CLOCK.now += 0.002
            return super().features(rows, processor)

    on = probe(tmp_path, Session(seconds=0.001))
    on.task = Slow()  # type: ignore[assignment]
    alone, whole = (meter.summarise(taken(meter, on, 2))[0] for meter in (Latency(), FromText()))
    assert whole.value == pytest.approx(alone.value + 2)  # type: ignore[operator]
    assert whole.name == "latency_from_text_p50" and whole.conditions["tokenization"] == "included"


def test_the_ratio_of_medians_is_that_of_middling_calls_and_cancels_what_met_both() -> None:
    generator = np.random.default_rng(5)
    slow = generator.lognormal(0, 0.5, size=(12, 1))
    one = Timings(slow * [1.0, 1.0, 10.0], np.repeat(np.arange(6), 2))
    other = Timings(slow * [3.0, 3.0, 10.0], one.blocks)
    found = rounds.quantile_ratio(other, one, 0.5)
    assert found.value > rounds.ratio(other, one).value == pytest.approx(16 / 12)
    level = rounds.quantile_ratio(Timings(3 * one.times, one.blocks), one, 0.5)
    assert (level.low, level.value, level.high) == pytest.approx((3, 3, 3))


def test_texts_in_batches_take_longer_by_the_task_s_own_work(tmp_path: Path) -> None:
    class Slow(Task):
        def features(
            self, rows: Sequence[Mapping[str, Any]], processor: Any
        ) -> list[dict[str, Any]]:
            CLOCK.now += 0.001 * len(rows)
            return super().features(rows, processor)

    session = Session(seconds=0.001)
    on = probe(tmp_path, session)
    on.task = Slow()  # type: ignore[assignment]
    (rate,) = ThroughputFromText().summarise(taken(ThroughputFromText(), on, 3))
    assert [shape[0] for shape in session.shapes] == [32, 28] and session.shapes[0][
        1
    ] == COUNTS.max()
    assert rate.name == "throughput_from_text" and rate.conditions["tokenization"] == "included"
    assert rate.value == pytest.approx(60 / 0.062, rel=0.01)


def test_a_curve_is_as_wide_as_its_widest_point() -> None:
    generator = np.random.default_rng(6)

    def side() -> list[dict[str, Any]]:
        return [
            {
                "nanoseconds": [1e6, 2e6 * float(generator.lognormal(0, 0.3))],
                "conditions": {"at": [16, 32]},
                "block": i,
            }
            for i in range(8)
        ]

    own, other = side(), side()
    widest = LatencyByLength().half_width(own, other)
    (found,) = LatencyByLength().compare(own, other)
    points = {
        x: (high - low) / 2 / value for x, value, low, high in found.detail["curve"]["points"]
    }
    assert points[16] == pytest.approx(0) and widest == pytest.approx(points[32]) and widest > 0.02


def test_the_curve_over_lengths_stops_where_the_model_has_no_positions(tmp_path: Path) -> None:
    session = Session(each=2e-5)
    samples = taken(LatencyByLength(), probe(tmp_path, session, positions=130), 3)
    assert [shape for shape in dict.fromkeys(session.shapes)] == [
        (1, 16),
        (1, 32),
        (1, 64),
        (1, 128),
    ]
    (found,) = LatencyByLength().summarise(samples)
    points = found.detail["curve"]["points"]
    assert found.detail["curve"]["axis"] == "tokens" and [p[0] for p in points] == [16, 32, 64, 128]
    for tokens, value, low, high in points:
        assert value == pytest.approx(tokens * 0.02, rel=0.01) and low <= value <= high
    assert (
        found.value == points[-1][1]
        and found.conditions["length"] == 128
        and "at" not in found.conditions
    )


def test_the_ratio_of_two_curves_is_taken_at_the_lengths_that_both_have(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    fast = taken(LatencyByLength(), probe(tmp_path / "a", Session(each=1e-5), positions=64), 3)
    slow = taken(LatencyByLength(), probe(tmp_path / "b", Session(each=3e-5)), 3)
    (found,) = LatencyByLength().compare(fast, slow)
    assert found.name == "speedup_by_length" and found.value == pytest.approx(3, rel=0.01)
    assert [p[0] for p in found.detail["curve"]["points"]] == [16, 32, 64]
    assert LatencyByLength().half_width(fast, slow) < 0.02
    assert all(p[1] == pytest.approx(3, rel=0.01) for p in found.detail["curve"]["points"])


def test_the_curve_over_batches_gains_what_a_call_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compress_meters.curves.BATCHES", (1, 8, 32))
    session = Session(seconds=0.002)
    (found,) = ThroughputByBatch().summarise(
        taken(ThroughputByBatch(), probe(tmp_path, session), 3)
    )
    points = {p[0]: p[1] for p in found.detail["curve"]["points"]}
    assert tuple(points) == (1, 8, 32) and points[1] == pytest.approx(500, rel=0.01)
    assert points[8] == pytest.approx(60 / 0.016, rel=0.01) and points[32] == pytest.approx(
        60 / 0.004, rel=0.01
    )
    assert found.conditions["batch"] == 32 and "left_out" not in found.conditions


def test_curves_without_a_point_in_common_are_not_compared() -> None:
    one, other = (
        [{"nanoseconds": [1e6], "conditions": {"at": [x]}, "block": i} for i in range(3)]
        for x in (16, 32)
    )
    (found,) = LatencyByLength().compare(one, other)
    assert (found.value, found.absent) == (None, "the two have no point in common over tokens")
    assert LatencyByLength().half_width(one, other) == 0


def test_a_curve_has_no_batch_that_there_are_no_examples_for_and_says_so(tmp_path: Path) -> None:
    samples = taken(ThroughputByBatch(), probe(tmp_path, Session(seconds=0.002)), 3)
    (found,) = ThroughputByBatch().summarise(samples)
    assert (
        [p[0] for p in found.detail["curve"]["points"]]
        == [b for b in BATCHES if b <= len(COUNTS)]
        == [1, 8, 32]
    )
    assert found.conditions["left_out"] == "batches above the 60 test examples"
    (ratio,) = ThroughputByBatch().compare(samples, samples)
    assert ratio.conditions["batches"] == [1, 8, 32] and "batch" not in {
        *ratio.conditions,
        *ratio.conditions["other"],
    }


@pytest.mark.parametrize(("curve", "of_model"), [(CURVES[1], CURVES[0]), (CURVES[3], CURVES[2])])
def test_a_curve_from_text_takes_longer_by_the_task_s_own_work(
    curve: Timing, of_model: Timing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Task):
        def features(
            self, rows: Sequence[Mapping[str, Any]], processor: Any
        ) -> list[dict[str, Any]]:
            CLOCK.now += 0.001 * len(rows)
            return super().features(rows, processor)

    monkeypatch.setattr(
        "compress_meters.curves.stretched_row",
        lambda on, length: ({"id": "r0", "tokens": length}, on.task),
    )
    on = probe(tmp_path, Session(seconds=0.002), positions=64)
    on.task = Slow()  # type: ignore[assignment]
    alone, whole = (
        of_model.summarise(taken(of_model, on, 3))[0],
        curve.summarise(taken(curve, on, 3))[0],
    )
    (shorter, longer) = (m.detail["curve"]["points"] for m in (alone, whole))
    assert [p[0] for p in shorter] == [p[0] for p in longer]
    assert (alone.conditions["tokenization"], whole.conditions["tokenization"]) == (
        "excluded",
        "included",
    )
    took = [
        (1 / a[1], 1 / b[1]) if "throughput" in curve.name else (a[1] / 1e3, b[1] / 1e3)
        for a, b in zip(shorter, longer, strict=True)
    ]
    assert all(b - a == pytest.approx(0.001, rel=0.02) for a, b in took)


def test_more_effort_is_not_fewer_rounds_and_curves_are_for_thorough_runs() -> None:
    for meter in METERS:
        least = [meter.rounds(effort).least for effort in EFFORTS]
        assert least == sorted(least) and all(
            meter.rounds(e).most >= meter.rounds(e).least for e in EFFORTS
        )
        assert meter.takes_turns
    assert {m.efforts for m in (FromText(), ThroughputFromText(), *CURVES)} == {("thorough",)}


def test_rounds_go_on_until_the_ratio_of_the_medians_is_known_too() -> None:
    """Budgets limit latency by it."""
    generator = np.random.default_rng(1)

    def side() -> list[dict[str, Any]]:
        """The middling calls vary from round to round, and take little beside the two that are
        long."""
        return timed(
            *([1.0, *generator.lognormal(0.7, 0.2, size=3), 500.0, 500.0] for _ in range(12))
        )

    own, other = side(), side()
    whole = rounds.ratio(
        *(Timings(np.array([s["nanoseconds"] for s in x]), np.zeros(12)) for x in (other, own))
    )
    assert whole.half_width < 0.01 < Latency().half_width(own, other)


def test_without_a_test_split_every_timing_is_absent_with_the_reason(tmp_path: Path) -> None:
    names = set()
    for meter in METERS:
        samples = taken(meter, probe(tmp_path, Session(), rows=False), 2)
        found = [*meter.summarise(samples), *meter.compare(samples, samples)]
        assert {(m.value, m.absent) for m in found} == {
            (None, "there is no test split for this task")
        }
        assert meter.half_width(samples, samples) == 0
        names |= {m.name for m in found}
    assert len(names) == 20


def test_samples_are_summarised_without_torch() -> None:
    code = """
import sys
sys.modules["torch"] = sys.modules["transformers"] = None
from compress_meters.rounds import Timings
from compress_meters.speed import Latency
samples = [{"nanoseconds": [1e6, 2e6], "conditions": {}, "block": 0}] * 3
assert Latency().summarise(samples)[0].value == 1.5
assert Latency().compare(samples, samples)[0].value == 1
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
