"""Predictions come back in the order of their examples, whatever their lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from compress.predict import length_batches, predict
from compress.task import Task

LENGTHS = [3, 9, 5, 20, 5, 1, 12, 9, 2, 7, 3]


class Echo:
    """A session whose output says which example it was given: the first id of each."""

    inputs = ("input_ids",)

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.shapes.append(batch["input_ids"].shape)
        return {"logits": batch["input_ids"][:, 0].astype(np.float32)}


def collate(features: Sequence[Mapping[str, Any]], processor: Any) -> dict[str, np.ndarray]:
    ids = np.zeros((len(features), max(len(f["input_ids"]) for f in features)), dtype=np.int64)
    for i, f in enumerate(features):
        ids[i, : len(f["input_ids"])] = f["input_ids"]
    return {"input_ids": ids}


class Plain(SimpleNamespace):
    """A task made of functions, which answers as any task does."""

    answer, join, prompts = Task.answer, Task.join, Task.prompts


TASK = Plain(
    length=lambda features: len(features["input_ids"]),
    group=lambda features: 0,
    collate=collate,
    predictions=lambda outputs, batch: [{"seen": int(v)} for v in outputs["logits"]],
)


def features(order: Sequence[int]) -> list[dict[str, Any]]:
    return [{"id": f"row-{i}", "input_ids": [100 + i] * LENGTHS[i]} for i in order]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 11, 32])
@pytest.mark.parametrize("seed", range(5))
def test_every_answer_stands_beside_the_example_it_was_computed_from(
    batch_size: int, seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(LENGTHS)).tolist()
    answers = predict(Echo(), TASK, None, [{}] * len(order), features(order), batch_size)
    assert answers == [{"id": f"row-{i}", "seen": 100 + i} for i in order]


def test_batches_are_of_near_equal_length_and_the_longest_comes_first() -> None:
    session = Echo()
    predict(session, TASK, None, [{}] * len(LENGTHS), features(range(len(LENGTHS))), 4)
    assert session.shapes == [(4, 20), (4, 7), (3, 3)]


def test_batches_hold_every_example_once_and_equal_lengths_keep_their_order() -> None:
    batches = length_batches(TASK, [{"input_ids": [0] * n} for n in (2, 5, 2, 5, 2)], 2)
    assert batches == [[1, 3], [0, 2], [4]]


def test_answers_without_an_id_among_the_features_have_none() -> None:
    assert predict(Echo(), TASK, None, [{}], [{"input_ids": [7]}], 8) == [{"seen": 7}]


def test_no_examples_have_no_answers() -> None:
    assert predict(Echo(), TASK, None, [], [], 8) == []


def test_a_task_that_answers_fewer_examples_than_it_got_is_stopped() -> None:
    short = Plain(**{**vars(TASK), "predictions": lambda outputs, batch: [{}]})
    with pytest.raises(ValueError, match="shorter"):
        predict(Echo(), short, None, [{}] * 2, features([0, 1]), 2)
