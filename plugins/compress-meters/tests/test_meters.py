"""Meters over a session and a task whose answers are known."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from compress_meters import Latency, Memory, Quality, Size, Throughput, bootstrap, compress_meters, memory
from compress_meters.conditions import chosen

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.engine import Placement
from compress.meter import Probe
from compress.task import Quality as Score

ROWS = [{"id": f"r{i}", "label": i % 3} for i in range(60)]
LENGTHS = np.random.default_rng(7).integers(1, 30, size=60)


class Task:
    """The answer is the first id; a third of the rows are answered wrongly."""

    headline = "accuracy"
    higher_is_better = True

    def length(self, features: Mapping[str, Any]) -> int:
        return len(features["input_ids"])

    def collate(self, features: Sequence[Mapping[str, Any]], processor: Any) -> dict[str, np.ndarray]:
        ids = np.zeros((len(features), max(map(self.length, features))), dtype=np.int64)
        for i, f in enumerate(features):
            ids[i, :self.length(f)] = f["input_ids"]
        return {"input_ids": ids}

    def predictions(self, outputs: Mapping[str, np.ndarray], batch: Sequence[Any]) -> list[dict[str, Any]]:
        return [{"label": int(v)} for v in outputs["logits"]]

    def score(self, answers: Sequence[Any], rows: Sequence[Any], labels: Sequence[str]) -> Score:
        correct = np.mean([a["label"] == r["label"] for a, r in zip(answers, rows, strict=True)])
        return Score({"accuracy": correct, "loss": 0.5}, {"zero": {"f1": 1.0, "support": 20}})

    def resample(self, answers: Sequence[Any], rows: Sequence[Any], labels: Sequence[str]) -> np.ndarray | None:
        return np.array([[a["label"] == r["label"], 1] for a, r in zip(answers, rows, strict=True)], dtype=np.int64)

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        return counts[..., 0] / counts[..., 1]


class Session:
    """Echoes the first id of each example, after ``seconds``."""

    inputs = ("input_ids",)

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.shapes: list[tuple[int, ...]] = []

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.shapes.append(batch["input_ids"].shape)
        time.sleep(self.seconds)
        return {"logits": batch["input_ids"][:, 0].astype(np.float32)}


def probe(tmp_path: Path, *, session: Session | None = None, rows: Sequence[Any] = ROWS, task: Any = None) -> Probe:
    (tmp_path / "model.safetensors").write_bytes(b"x" * 1000)
    (tmp_path / "config.json").write_bytes(b"y" * 24)
    manifest = Manifest(Traits(), digest_files(tmp_path), "step", "stage", parameters=250)
    manifest.write(tmp_path)
    answers = [row["label"] if i % 3 else (row["label"] + 1) % 3 for i, row in enumerate(rows)]
    features = [{"input_ids": [answer] * int(n)} for answer, n in zip(answers, LENGTHS, strict=False)]
    return Probe(Artifact(tmp_path, manifest), "torch", session or Session(), Placement("cpu", 2), task or Task(), None,
                 rows, ["zero", "one", "two"], features, {"before_load": 1000, "after_load": 2000}, 0.25)


def taken(meter: Any, on: Probe) -> list[dict[str, Any]]:
    """What the instrument takes: a preparation, then JSON-ready samples."""
    meter.prepare(on)
    return [json.loads(json.dumps(meter.sample(on), allow_nan=False)) for _ in range(meter.rounds("standard").least)]


def test_quality_is_the_headline_with_its_interval_and_answers_in_row_order(tmp_path: Path) -> None:
    samples = taken(Quality(), probe(tmp_path))
    quality, loss = Quality().summarise(samples)
    assert (quality.name, quality.title, quality.direction, quality.n) == ("quality", "accuracy", "higher", 60)
    assert quality.value == pytest.approx(2 / 3)
    # The normal interval is 2/3 +- 1.96 * sqrt(2/9/60) = 0.547 to 0.786; resampled: 0.55 to 0.783.
    assert (quality.low, quality.high) == pytest.approx((0.547, 0.786), abs=0.02)
    assert quality.detail["per_class"]["zero"]["support"] == 20
    assert (loss.name, loss.value, loss.direction, loss.title) == ("loss", 0.5, "neither", "")
    expected = [{"id": r["id"], "label": r["label"] if i % 3 else (r["label"] + 1) % 3} for i, r in enumerate(ROWS)]
    assert samples[0]["predictions"] == expected
    assert samples[0]["counts"][:2] == [[0, 1], [1, 1]]


def test_quality_says_how_it_was_measured(tmp_path: Path) -> None:
    session = Session()
    measured = Quality().summarise(taken(Quality(), probe(tmp_path, session=session)))[0]
    assert measured.conditions == {"engine": "torch", "device": "cpu", "threads": 2, "batch": 32, "examples": 60,
                                   "mean_length": round(float(LENGTHS.mean()), 1), "split": "test", "metric": "accuracy"}
    assert session.shapes[0] == (32, LENGTHS.max())


def test_a_task_that_cannot_be_resampled_has_a_quality_without_an_interval(tmp_path: Path) -> None:
    class Lower(Task):
        higher_is_better = False

        def resample(self, *arguments: Any) -> None:
            return None

    quality = Quality().summarise(taken(Quality(), probe(tmp_path, task=Lower())))[0]
    assert (quality.low, quality.high, quality.direction) == (None, None, "lower")
    assert quality.value == pytest.approx(2 / 3)


def test_the_interval_of_counts_agrees_with_resampling_the_examples_and_is_the_same_each_time() -> None:
    generator = np.random.default_rng(3)
    counts = np.stack([generator.integers(0, 4, 200), generator.integers(4, 6, 200)], axis=1)
    low, high = bootstrap.of_counts(counts, lambda c: c[..., 0] / c[..., 1], seed=1)
    drawn = counts[np.random.default_rng(2).integers(200, size=(5000, 200))].sum(axis=1)
    assert (low, high) == pytest.approx(tuple(np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])), abs=0.005)
    assert (low, high) == bootstrap.of_counts(counts, lambda c: c[..., 0] / c[..., 1], seed=1)


def test_the_interval_of_what_does_not_vary_is_the_value_itself() -> None:
    assert bootstrap.of_counts(np.ones((9, 2)), lambda c: c[..., 0] / c[..., 1], seed=0) == (1.0, 1.0)
    assert bootstrap.of_median(np.full(4, 2.5)) == (2.5, 2.5)


def test_latency_is_of_single_examples_at_their_own_length(tmp_path: Path) -> None:
    session = Session(seconds=0.001)
    on = probe(tmp_path, session=session)
    samples = taken(Latency(), on)
    assert len(samples) == Latency().rounds("standard").least and {len(s["nanoseconds"]) for s in samples} == {60}
    assert len(session.shapes) == 60 * (Latency().rounds("standard").least + 1)  # one round warms up
    assert sorted(session.shapes[:60]) == sorted((1, int(n)) for n in LENGTHS)
    middle, tail = Latency().summarise(samples)
    assert (middle.name, middle.unit, tail.name) == ("latency_p50", "ms", "latency_p95")
    assert 1.0 <= middle.low <= middle.value <= middle.high  # 1.1 measured
    assert tail.low <= tail.value <= tail.high and tail.value >= middle.value
    assert middle.n == 600 and middle.conditions["batch"] == 1 and middle.conditions["rounds"] == 10


def timed(*rounds: Sequence[float]) -> list[dict[str, Any]]:
    return [{"nanoseconds": [s * 1e6 for s in r], "conditions": {"examples": len(r)}} for r in rounds]


def test_percentiles_are_those_of_all_timings() -> None:
    rounds = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]
    middle, tail = Latency().summarise(timed(*rounds))
    assert middle.value == np.percentile(rounds, 50) and tail.value == np.percentile(rounds, 95)


def test_a_speedup_compares_round_with_round_so_that_a_slow_machine_cancels_out() -> None:
    slow = [1.0, 1.0, 5.0, 1.0, 3.0, 1.0]
    fast, other = timed(*([s, s] for s in slow)), timed(*([2.5 * s, 3.5 * s] for s in slow))
    (speedup,) = Latency().compare(fast, other)
    assert (speedup.name, speedup.unit, speedup.n) == ("speedup", "x", 6)
    assert (speedup.value, speedup.low, speedup.high) == pytest.approx((3.0, 3.0, 3.0))
    assert Latency().compare(other, fast)[0].value == pytest.approx(1 / 3)


def test_one_disturbed_round_does_not_move_a_speedup() -> None:
    own, other = timed(*[[1.0]] * 9, [9.0]), timed(*[[2.0]] * 10)
    assert Latency().compare(own, other)[0].value == pytest.approx(2.0)


def test_throughput_counts_examples_in_batches_of_equal_length(tmp_path: Path) -> None:
    session = Session(seconds=0.002)
    samples = taken(Throughput(), probe(tmp_path, session=session))
    assert [shape[0] for shape in session.shapes[:2]] == [32, 28] and session.shapes[0][1] == LENGTHS.max()
    (rate,) = Throughput().summarise(samples)
    assert rate.unit == "examples/s" and 0 < rate.value <= 15_000  # 60 in two batches of 2 ms; 14,072 measured
    assert rate.low <= rate.value <= rate.high
    (gain,) = Throughput().compare(samples, samples)
    assert gain.name == "throughput_speedup" and gain.value == 1.0


def test_the_timed_examples_depend_on_the_seed_alone(tmp_path: Path) -> None:
    on = probe(tmp_path)
    assert chosen(on, 10) == chosen(on, 10) != chosen(replace(on, seed=1), 10)
    assert len(chosen(on, 10)) == 10 and chosen(on, 100) == list(on.features)


def test_memory_is_the_peak_above_what_was_there_before_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = tmp_path / "status"
    status.write_text("VmPeak:\t99 kB\nVmHWM:\t     50 kB\n")
    monkeypatch.setattr(memory, "STATUS", status)
    session = Session()
    host, gpu = Memory().summarise(taken(Memory(), probe(tmp_path / ".", session=session)))
    assert (host.name, host.value, host.unit) == ("memory", 50 * 1024 - 1000, "bytes")
    assert session.shapes == [(32, LENGTHS.max())] and host.conditions["batch"] == 32
    assert gpu.value is None and gpu.absent == "the model ran on the cpu"


def test_memory_on_this_system_is_a_number_or_says_why_not(tmp_path: Path) -> None:
    host = Memory().summarise(taken(Memory(), probe(tmp_path)))[0]
    assert host.value > 1_000_000 if memory.STATUS.is_file() else "does not have" in host.absent


def test_memory_of_a_gpu_is_what_torch_allocated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on = replace(probe(tmp_path), placement=Placement("cuda", 2))
    fake = SimpleNamespace(cuda=SimpleNamespace(max_memory_allocated=lambda: 4096))
    monkeypatch.setitem(sys.modules, "torch", fake)
    assert Memory().summarise(taken(Memory(), on))[1].value == 4096
    monkeypatch.delitem(sys.modules, "torch")
    assert "does not say what it allocated" in Memory().summarise(taken(Memory(), on))[1].absent


def test_size_counts_every_file_but_the_manifest(tmp_path: Path) -> None:
    size, parameters, load = Size().summarise(taken(Size(), probe(tmp_path)))
    assert (size.value, parameters.value, load.value) == (1024, 250, 0.25)
    assert (size.unit, parameters.unit, load.unit) == ("bytes", "parameters", "s")


def test_parameters_that_nobody_counted_are_absent_and_not_zero(tmp_path: Path) -> None:
    on = probe(tmp_path)
    on.artifact = Artifact(tmp_path, replace(on.artifact.manifest, parameters=None))
    parameters = Size().summarise(taken(Size(), on))[1]
    assert parameters.value is None and "does not count" in parameters.absent


def test_without_a_test_split_what_needs_one_is_absent_with_the_reason(tmp_path: Path) -> None:
    on = probe(tmp_path, rows=[])
    names = set()
    for meter in (Quality(), Latency(), Throughput(), Memory()):
        samples = taken(meter, on)
        found = [*meter.summarise(samples), *meter.compare(samples, samples)]
        assert {(m.value, m.absent) for m in found} == {(None, "there is no test split for this task")}
        names |= {m.name for m in found}
    assert names == {"quality", "latency_p50", "latency_p95", "speedup", "throughput", "throughput_speedup", "memory",
                     "memory_gpu"}


def test_names_are_unique_and_the_meters_that_time_say_so(tmp_path: Path) -> None:
    meters = [cls() for cls in compress_meters()]
    measured = [m.name for meter in meters for m in meter.summarise(taken(meter, probe(tmp_path)))]
    assert len(measured) == len(set(measured)) == 10
    assert {m.name for m in meters if m.takes_turns} == {"latency", "throughput"}
    assert [m.name for m in sorted(meters, key=lambda m: m.order)][:2] == ["size", "memory"]


def test_samples_are_summarised_without_torch() -> None:
    code = """
import sys
sys.modules["torch"] = sys.modules["transformers"] = None
from compress_meters import Latency
samples = [{"nanoseconds": [1e6, 2e6], "conditions": {}}] * 3
assert Latency().summarise(samples)[0].value == 1.5 and Latency().compare(samples, samples)[0].value == 1
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
