"""Predictions in the order of their examples, computed in batches of near-equal length. No
torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from compress.errors import CompressError
from compress.featurising import FeatureRows, groups_of, lengths_of, take
from compress.session import Session
from compress.task import Features, Prediction, Row, Task

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
    processor: Any,
    rows: Sequence[Row],
    features: Sequence[Features],
    batch_size: int,
    **asked: Any,
) -> list[Prediction]:
    """One answer for each of ``rows``, in their order; ``features`` are theirs. An answer has the
    ``id`` of its features, if they have one. ``batch_size`` counts features: of a row in several
    parts, each counts. ``asked`` is what ``Task.answer`` is given besides."""
    batches = length_batches(task, features, batch_size)
    answers = predict_batches(session, task, processor, features, batches, **asked)
    parts = parts_of(task, features, len(rows))
    return [join(task, parts[i], answers, row) for i, row in enumerate(rows)]


def predict_batches(
    session: Session,
    task: Task[Any],
    processor: Any,
    features: Sequence[Features],
    batches: Iterable[Sequence[int]],
    **asked: Any,
) -> dict[int, Prediction]:
    """The answers by place among ``features``. Each of ``batches`` holds the places of the features
    that are answered in one call. Ids, and ``asked``, are as in ``predict``."""
    answers: dict[int, Prediction] = {}
    for places in batches:
        batch = take(features, places)
        given = task.answer(session, batch, processor, **asked)
        for place, one, answer in zip(places, batch, given, strict=True):
            identity = {"id": one["id"]} if "id" in one else {}
            answers[place] = {**identity, **answer}
    return answers


def parts_of(task: Task[Any], features: Sequence[Features], rows: int) -> Sequence[Sequence[int]]:
    """For each of the ``rows`` the places of its parts among its task's ``features``, in order.

    Raises CompressError, which names the task, where a row has none, or features without ``row``
    are not one for each row."""
    if isinstance(features, FeatureRows):
        return features.parts
    parts: list[list[int]] = [[] for _ in range(rows)]
    for place, one in enumerate(features):
        row = one.get("row", place)
        if not 0 <= row < rows:
            raise CompressError(f"task {task.name}: features of row {row}, of {rows} rows")
        parts[row].append(place)
    empty = next((row for row, places in enumerate(parts) if not places), None)
    if empty is not None:
        raise CompressError(f"task {task.name}: row {empty} has no features: give it one at least")
    return parts


def join(
    task: Task[Any], places: Sequence[int], answers: Mapping[int, Prediction], row: Row
) -> Prediction:
    """The answer to a row, whose parts have these ``places`` among the ``answers``."""
    joined = task.join([answers[place] for place in places], row)
    identity = answers[places[0]].get("id")
    return joined if identity is None else {"id": identity, **joined}
