"""Predictions in the order of their examples, computed in batches of near-equal length. No
torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from compress.engine import Session
from compress.featurising import groups_of, lengths_of, take
from compress.processor import TextProcessor
from compress.task import Features, Prediction, Task

T = TypeVar("T")


def length_batches(
    task: Task[Any], features: Sequence[Features], batch_size: int
) -> list[list[int]]:
    """Indices of ``features`` in batches of near-equal length, each of one ``Task.group``. The
    longest come first, so that a lack of memory shows at once. Examples of equal length keep their
    order."""
    lengths = lengths_of(task, features)
    order = sorted(range(len(features)), key=lambda i: -lengths[i])
    batches = batches_in_order(task, features, order, batch_size)
    return sorted(batches, key=lambda places: -lengths[places[0]])


def batches_in_order(
    task: Task[Any], features: Sequence[Features], places: Sequence[int], batch_size: int
) -> list[list[int]]:
    """Some ``places`` of ``features`` in batches, each of one ``Task.group``. In a group the places
    keep their order."""
    batches = []
    for some in split_by(groups_of(task, features, places), places):
        batches += [some[start : start + batch_size] for start in range(0, len(some), batch_size)]
    return batches


def split_by(groups: Sequence[int], items: Sequence[T]) -> list[list[T]]:
    """The ``items`` of each group, in their order; the group of the first item comes first.
    ``groups`` has the number of each item's group."""
    split: dict[int, list[T]] = {}
    for group, item in zip(groups, items, strict=True):
        split.setdefault(group, []).append(item)
    return list(split.values())


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
        batch = take(features, places)
        outputs = session.run(task.collate(batch, processor))
        for place, answer in zip(places, task.predictions(outputs, batch), strict=True):
            identity = {"id": features[place]["id"]} if "id" in features[place] else {}
            answers[place] = {**identity, **answer}
    return answers
