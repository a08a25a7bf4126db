"""Quality is that of answers that were given alone, and what batches change is a figure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from compress_meters import Quality, company
from compress_meters.batched import changes_between
from compress_tasks import TextClassification
from compress_tasks.text_classification import TextClassificationOptions

from compress.engine import Placement
from compress.measurement import Measurement
from compress.meter import Effort, Probe

LABELS = ["bad", "good"]
Lean = Callable[[np.ndarray], np.ndarray]
"""What a model answers: ids [batch, length], 0 where padded, to the first logit [batch]."""


def own_text(ids: np.ndarray) -> np.ndarray:
    return np.where(ids > 0, np.sin(ids), 0.0).sum(axis=1)


def padded_length(ids: np.ndarray) -> np.ndarray:
    """As an encoder that mixes positions without a mask."""
    return own_text(ids) + 0.1 * (ids == 0).sum(axis=1)


def scaled_by_the_call(ids: np.ndarray) -> np.ndarray:
    """As dynamic int8: rounded by the largest number of the whole call."""
    values = own_text(ids)
    scale = max(np.abs(np.sin(ids)).sum(axis=1).max(), 1e-9) / 8
    return np.round(values / scale) * scale + 1e-3


class Session:
    """A classifier. A call takes ``seconds(batch size)`` of its own ``clock``."""

    inputs = ("input_ids",)

    def __init__(self, lean: Lean, seconds: Callable[[int], float] = lambda size: 0.0) -> None:
        self.lean, self.seconds = lean, seconds
        self.sizes: list[int] = []
        self.clock = 0.0

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        ids = batch["input_ids"]
        self.sizes.append(len(ids))
        self.clock += self.seconds(len(ids))
        good = self.lean(ids).astype(np.float32)
        return {"logits": np.stack([good, np.zeros_like(good)], axis=1)}


class Task(TextClassification):
    """The real task, padded with 0 and without a tokenizer."""

    def collate(self, features: Sequence[Any], processor: Any, generator: Any = None) -> Any:
        ids = np.zeros((len(features), max(len(f["input_ids"]) for f in features)), dtype=np.int64)
        for row, f in zip(ids, features, strict=True):
            row[: len(f["input_ids"])] = f["input_ids"]
        return {"input_ids": ids}


def probe(session: Any, count: int = 300, effort: Effort = "quick", kind: Any = "single") -> Probe:
    draws = np.random.default_rng(1)
    features = [
        {"input_ids": draws.integers(1, 50, draws.integers(1, 30)).tolist()} for _ in range(count)
    ]
    labels = [float(i) if kind == "regression" else i % 2 for i in range(count)]
    rows = [{"id": f"r{i}", "text": "", "label": label} for i, label in enumerate(labels)]
    return Probe(
        artifact=None,  # type: ignore[arg-type]
        engine="none",
        session=session,
        placement=Placement("cpu", 1),
        task=Task(TextClassificationOptions(kind=kind)),
        processor=None,  # type: ignore[arg-type]
        rows=rows,
        labels=LABELS,
        features=features,
        host_memory={},
        load_seconds=0.0,
        effort=effort,
    )


def measured(on: Probe) -> tuple[dict[str, Any], dict[str, Measurement]]:
    sample = json.loads(json.dumps(Quality().sample(on), allow_nan=False))
    return sample, {m.name: m for m in Quality().summarise([sample])}


def alone(on: Probe) -> list[dict[str, Any]]:
    return [
        on.task.predictions(on.session.run(on.task.collate([f], on.processor)), [f])[0]
        for f in on.features
    ]


@pytest.mark.parametrize("lean", [padded_length, scaled_by_the_call])
def test_answers_that_depend_on_their_company_are_measured_alone(lean: Lean) -> None:
    on = probe(Session(lean))
    sample, found = measured(on)
    assert [{**a, "id": f"r{i}"} for i, a in enumerate(alone(on))] == sample["predictions"]
    stated = found["quality"].conditions
    assert (stated["batch"], stated["answers_in_batches"]) == (1, "other")
    changed = found["batched_changes"]
    assert changed.value is not None and changed.value > 0 and changed.unit == "share"
    assert changed.low < changed.value < changed.high < changed.high + changed.worst  # type: ignore[operator]
    assert (changed.n, changed.direction, changed.title) == (128, "lower", "changed in batches")
    assert (changed.conditions["batch"], changed.conditions["examples"]) == (32, 128)
    largest = found["batched_difference"].value
    assert largest is not None and largest > 1e-3


def test_a_difference_that_only_batches_of_like_length_show_is_said() -> None:
    def alike(ids: np.ndarray) -> np.ndarray:
        lengths = (ids > 0).sum(axis=1)
        is_alike = len(ids) > 1 and lengths.max() - lengths.min() < 20
        return own_text(ids) + (0.5 if is_alike else 0.0)

    _, found = measured(probe(Session(alike)))
    assert found["quality"].conditions["answers_in_batches"] == "other"
    assert found["batched_difference"].value > 1e-3  # type: ignore[operator]


def test_the_share_that_batches_change_is_counted_by_hand() -> None:
    on = probe(Session(scaled_by_the_call), count=40, effort="standard")
    drawn = company._mixed(on, company.spread_places(on, 512))
    together = company._answers(on, drawn, company.BATCH)
    apart = [together[i]["label"] != a["label"] for i, a in enumerate(alone(on))]
    _, found = measured(on)
    assert found["batched_changes"].value == pytest.approx(np.mean(apart)) != 0
    lengths = [len(on.features[i]["input_ids"]) for i in drawn]
    assert len(drawn) == 40 and any(np.diff(lengths[:32]) > 0), "mixed lengths"


@pytest.mark.parametrize(
    ("seconds", "batch"),
    [(lambda size: 0.1, 32), (lambda size: 0.1 * size**1.1, 1)],
    ids=["quicker in batches", "quicker alone"],
)
def test_batches_answer_where_they_are_equal_and_quicker(
    seconds: Callable[[int], float], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(own_text, seconds)
    monkeypatch.setattr(company, "time", SimpleNamespace(perf_counter=lambda: session.clock))
    on = probe(session)
    sample, found = measured(on)
    assert [{**a, "id": f"r{i}"} for i, a in enumerate(alone(on))] == sample["predictions"]
    stated = found["quality"].conditions
    assert (stated["batch"], stated["answers_in_batches"]) == (batch, "equal")
    rest = session.sizes[64 + 2 + 2 : -300]
    assert max(rest) == batch and sum(rest) == 300 - 64
    changed, largest = found["batched_changes"], found["batched_difference"]
    assert (changed.value, changed.n, largest.value) == (0, 64, pytest.approx(0, abs=1e-4))
    assert 0 < changed.worst < changed.high < 0.06  # type: ignore[operator]


def test_examples_that_must_not_share_a_call_never_do() -> None:
    class Grouped(Task):
        def group(self, features: Any) -> int:
            return len(features["input_ids"]) % 3

    asked: list[set[int]] = []

    class Watched(Session):
        def run(self, batch: Any) -> Any:
            asked.append({int((row > 0).sum()) % 3 for row in batch["input_ids"]})
            return super().run(batch)

    on = replace(
        probe(Watched(own_text, lambda size: 0.001)),
        task=Grouped(TextClassificationOptions()),
    )
    _, found = measured(on)
    assert found["batched_changes"].n == 64 and all(len(groups) == 1 for groups in asked)


def test_what_has_no_decisions_or_no_company_says_so() -> None:
    _, numbers = measured(probe(Session(padded_length), kind="regression"))
    assert "no decisions" in numbers["batched_changes"].absent
    assert numbers["batched_difference"].value > 0  # type: ignore[operator]
    assert numbers["quality"].conditions["batch"] == 1
    session = Session(padded_length)
    _, one = measured(probe(session, count=1))
    assert (
        session.sizes == [1] and one["batched_changes"].absent == one["batched_difference"].absent
    )
    assert one["batched_changes"].absent == "the test split has one example"


def test_the_sample_holds_every_length() -> None:
    on = probe(Session(own_text))
    lengths = [len(on.features[i]["input_ids"]) for i in company.spread_places(on, 64)]
    everyone = [len(f["input_ids"]) for f in on.features]
    assert lengths == sorted(lengths, reverse=True) and len(lengths) == 64
    assert (lengths[0], lengths[-1]) == (max(everyone), min(everyone))
    assert set(lengths) == set(everyone)
    assert sorted(company.spread_places(on, 1000)) == list(range(300))


@pytest.mark.parametrize(
    ("one", "other", "largest", "equal"),
    [
        ({"label": 1, "score": 0.5}, {"label": 1, "score": 0.50009}, 9e-5, True),
        ({"label": 1, "score": 0.5}, {"label": 1, "score": 0.5002}, 2e-4, False),
        ({"label": 1, "score": 0.5}, {"label": 0, "score": 0.5}, 0.0, False),
        ({"value": 2000.0}, {"value": 2000.1}, 5e-5, True),
        ({"tags": [1, None]}, {"tags": [1, None]}, 0.0, True),
        ({"tags": [1, None]}, {"tags": [1, 2]}, 0.0, False),
        (
            {"top": [{"token": "a", "score": 0.1}]},
            {"top": [{"token": "b", "score": 0.1}]},
            0,
            False,
        ),
        ({"labels": [1], "scores": [0.9]}, {"labels": [1, 2], "scores": [0.9, 0.6]}, 0.0, False),
        ({"value": float("nan")}, {"value": float("nan")}, 0.0, True),
        ({"value": float("inf")}, {"value": 1.0}, 0.0, False),
    ],
)
def test_answers_are_equal_but_for_rounding(
    one: Any, other: Any, largest: float, equal: bool
) -> None:
    class NoDecisions(Task):
        def decisions(self, *given: Any) -> Any:
            return []

    task = NoDecisions(TextClassificationOptions())
    found = changes_between([(one, other)], [{}], task, LABELS)
    assert (found.largest, found.equal) == (pytest.approx(largest, rel=1e-6), equal)
