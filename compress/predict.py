"""Predictions in the order of their examples, computed in batches of near-equal length. No
torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from compress.engine import Session
from compress.processor import TextProcessor
from compress.task import Features, Prediction, Task


def length_batches(
    task: Task[Any], features: Sequence[Features], batch_size: int
) -> list[list[int]]:
    """Indices of ``features`` in batches of near-equal length. The longest come first, so that a
    lack of memory shows at once. Examples of equal length keep their order."""
    order = sorted(range(len(features)), key=lambda i: -task.length(features[i]))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def predict(
    session: Session,
    task: Task[Any],
    processor: TextProcessor,
    features: Sequence[Features],
    batch_size: int,
) -> list[Prediction]:
    """One answer for each of ``features``, in their order. An answer has the ``id`` of its
    features, if they have one."""
    batches = length_batches(task, features, batch_size)
    answers = predict_batches(session, task, processor, features, batches)
    return [answers[i] for i in range(len(features))]


def predict_batches(
    session: Session,
    task: Task[Any],
    processor: TextProcessor,
    features: Sequence[Features],
    batches: Iterable[Sequence[int]],
) -> dict[int, Prediction]:
    """The answers by place among ``features``. Each of ``batches`` holds the places of the examples
    that are answered in one call. Ids are as in ``predict``."""
    answers: dict[int, Prediction] = {}
    for places in batches:
        batch = [features[i] for i in places]
        outputs = session.run(task.collate(batch, processor))
        for place, answer in zip(places, task.predictions(outputs, batch), strict=True):
            identity = {"id": features[place]["id"]} if "id" in features[place] else {}
            answers[place] = {**identity, **answer}
    return answers
