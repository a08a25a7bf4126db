"""Predictions in the order of their examples, whatever order they were computed in. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compress.engine import Session
from compress.processor import TextProcessor
from compress.task import Features, Prediction, Task


def length_batches(
    task: Task[Any], features: Sequence[Features], batch_size: int
) -> list[list[int]]:
    """Indices of ``features`` in batches of near-equal length, the longest first, so that memory
    that is too small shows at once; examples of equal length keep their order."""
    order = sorted(range(len(features)), key=lambda i: -task.length(features[i]))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def predict(
    session: Session,
    task: Task[Any],
    processor: TextProcessor,
    features: Sequence[Features],
    batch_size: int,
) -> list[Prediction]:
    """One answer for each of ``features``, in their order; an ``id`` among the features is carried
    into the answer.

    Batches are made by length and the answers put back into place, so that answers never depend on
    the bucketing."""
    answers: dict[int, Prediction] = {}
    for places in length_batches(task, features, batch_size):
        batch = [features[i] for i in places]
        outputs = session.run(task.collate(batch, processor))
        for place, answer in zip(places, task.predictions(outputs, batch), strict=True):
            identity = {"id": features[place]["id"]} if "id" in features[place] else {}
            answers[place] = {**identity, **answer}
    return [answers[i] for i in range(len(features))]
