"""Meters over a session and a task whose answers are known."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compress_meters import Memory, Quality, compress_meters
from compress_meters.conditions import parts_at, places

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.engine import Placement
from compress.meter import Probe
from compress.task import Decision, TextTaskOptions
from compress.task import Quality as Score
from compress.task import Task as AnyTask

ROWS = [{"id": f"r{i}", "label": i % 3} for i in range(60)]
LENGTHS = np.random.default_rng(7).integers(1, 30, size=60)


class Task:
    """The answer is the first id; a third of the rows are answered wrongly."""

    headline = "accuracy"
    columns = ()
    options = TextTaskOptions()
    higher_is_better = True
    directions = {"loss": "lower"}
    answer, join, prompts = AnyTask.answer, AnyTask.join, AnyTask.prompts

    def __init__(self, options: Any = None) -> None:
        """``options`` are those of a task that is made anew; it has none that matter."""

    def features(self, rows: Sequence[Mapping[str, Any]], processor: Any) -> list[dict[str, Any]]:
        return [{"input_ids": [row["label"]]} for row in rows]

    def length(self, features: Mapping[str, Any]) -> int:
        return len(features["input_ids"])

    def group(self, features: Mapping[str, Any]) -> int:
        return 0

    def collate(
        self, features: Sequence[Mapping[str, Any]], processor: Any
    ) -> dict[str, np.ndarray]:
        ids = np.zeros((len(features), max(map(self.length, features))), dtype=np.int64)
        for i, f in enumerate(features):
            ids[i, : self.length(f)] = f["input_ids"]
        return {"input_ids": ids}

    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Any]
    ) -> list[dict[str, Any]]:
        return [{"label": int(v)} for v in outputs["logits"]]

    def score(
        self,
        answers: Sequence[Any],
        rows: Sequence[Any],
        labels: Sequence[str],
        processor: Any,
    ) -> Score:
        correct = np.mean([a["label"] == r["label"] for a, r in zip(answers, rows, strict=True)])
        return Score({"accuracy": correct, "loss": 0.5}, {"zero": {"f1": 1.0, "support": 20}})

    def resample(
        self, answers: Sequence[Any], rows: Sequence[Any], labels: Sequence[str]
    ) -> np.ndarray | None:
        return np.array(
            [[a["label"] == r["label"], 1] for a, r in zip(answers, rows, strict=True)],
            dtype=np.int64,
        )

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        return counts[..., 0] / counts[..., 1]

    def most_frequent(self, answers: Sequence[Any], rows: Sequence[Any], labels: Any) -> Any:
        return [{"label": 0} for _ in rows]

    def decisions(self, answer: Any, row: Any, labels: Sequence[str]) -> list[Decision]:
        return [Decision(answer["label"], answer["label"] == row["label"], labels[row["label"]])]


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


def probe(
    tmp_path: Path, *, session: Session | None = None, rows: Sequence[Any] = ROWS, task: Any = None
) -> Probe:
    (tmp_path / "model.safetensors").write_bytes(b"x" * 1000)
    (tmp_path / "config.json").write_bytes(b"{}".ljust(24))
    manifest = Manifest(Traits(), digest_files(tmp_path), "step", "stage", parameters=250)
    manifest.write(tmp_path)
    answers = [row["label"] if i % 3 else (row["label"] + 1) % 3 for i, row in enumerate(rows)]
    features = [
        {"input_ids": [answer] * int(n)} for answer, n in zip(answers, LENGTHS, strict=False)
    ]
    return Probe(
        Artifact(tmp_path, manifest),
        "torch",
        session or Session(),
        Placement("cpu", 2),
        task or Task(),
        None,
        rows,
        ["zero", "one", "two"],
        features,
        {"before_load": 1000, "peak_before_load": 2000},
        0.25,
    )


def taken(meter: Any, on: Probe) -> list[dict[str, Any]]:
    """What the instrument takes: a preparation, then JSON-ready samples."""
    meter.prepare(on)
    count = meter.rounds("standard").least
    return [
        json.loads(json.dumps({**meter.sample(on), "block": 0}, allow_nan=False))
        for _ in range(count)
    ]


def test_quality_is_the_headline_with_its_interval_and_answers_in_row_order(tmp_path: Path) -> None:
    samples = taken(Quality(), probe(tmp_path))
    quality, loss, *_ = Quality().summarise(samples)
    assert (quality.name, quality.title, quality.direction, quality.n) == (
        "quality",
        "accuracy",
        "higher",
        60,
    )
    assert quality.value == pytest.approx(2 / 3)
    # The normal interval is 2/3 +- 1.96 * sqrt(2/9/60) = 0.547 to 0.786; resampled: 0.55 to 0.783.
    assert (quality.low, quality.high) == pytest.approx((0.547, 0.786), abs=0.02)
    assert quality.detail["tables"]["by class"]["zero"]["support"] == 20
    assert (loss.name, loss.value, loss.direction, loss.title) == ("loss", 0.5, "lower", "")
    expected = [
        {"id": r["id"], "label": r["label"] if i % 3 else (r["label"] + 1) % 3}
        for i, r in enumerate(ROWS)
    ]
    assert samples[0]["predictions"] == expected
    assert samples[0]["counts"][:2] == [[0, 1], [1, 1]]


def test_quality_says_how_it_was_measured(tmp_path: Path) -> None:
    session = Session()
    measured = Quality().summarise(taken(Quality(), probe(tmp_path, session=session)))[0]
    assert measured.conditions == {
        "engine": "torch",
        "device": "cpu",
        "threads": 2,
        "batch": 1,
        "examples": 60,
        "mean_length": round(float(LENGTHS.mean()), 1),
        "answers_in_batches": "equal",
        "split": "test",
        "metric": "accuracy",
    }
    assert session.shapes[0] == (1, LENGTHS.max())


def test_a_task_that_cannot_be_resampled_has_a_quality_without_an_interval(tmp_path: Path) -> None:
    class Lower(Task):
        higher_is_better = False

        def resample(self, *arguments: Any) -> None:
            return None

    quality = Quality().summarise(taken(Quality(), probe(tmp_path, task=Lower())))[0]
    assert (quality.low, quality.high, quality.direction) == (None, None, "lower")
    assert quality.value == pytest.approx(2 / 3)


def test_the_timed_examples_depend_on_the_seed_alone(tmp_path: Path) -> None:
    on = probe(tmp_path)
    assert places(on, 10) == places(on, 10) != places(replace(on, seed=1), 10)
    assert len(places(on, 10)) == 10 and parts_at(on, places(on, 100)) == list(on.features)


def test_without_a_test_split_what_needs_one_is_absent_with_the_reason(tmp_path: Path) -> None:
    on = probe(tmp_path, rows=[])
    names = set()
    for meter in (Quality(), Memory()):
        samples = taken(meter, on)
        found = [*meter.summarise(samples), *meter.compare(samples, samples)]
        assert {(m.value, m.absent) for m in found} == {
            (None, "there is no test split for this task")
        }
        names |= {m.name for m in found}
    assert names == {
        "quality",
        "calibration_error",
        "batched_changes",
        "batched_difference",
        "quality_difference",
        "quality_kept",
        "flips",
        "memory",
        "memory_gpu",
        "memory_gpu_process",
    }


def test_names_are_unique_and_the_meters_that_time_say_so(tmp_path: Path) -> None:
    meters = [cls() for cls in compress_meters() if cls.measures(AnyTask)]
    measured = [m.name for meter in meters for m in meter.summarise(taken(meter, probe(tmp_path)))]
    assert len(measured) == len(set(measured))
    timed = ("latency", "latency_by_length", "throughput", "throughput_by_batch")
    assert {m.name for m in meters if m.takes_turns} == {
        *timed,
        *(f"{name}_from_text" for name in timed),
    }
    assert [m.name for m in sorted(meters, key=lambda m: m.order)][:3] == [
        "loading",
        "size",
        "memory",
    ]
