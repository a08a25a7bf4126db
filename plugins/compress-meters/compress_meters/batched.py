"""How answers in batches differ from those to the same examples alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compress.measurement import Conditions, Measurement, absent
from compress.meter import Sample
from compress.quantities import BATCHED_CHANGES, BATCHED_DIFFERENCE
from compress.task import Prediction, Row, Task
from compress_meters.decisions import NO_DECISIONS, read, written
from compress_meters.proportion import ONE_SIDED, effective_count, wilson

TOLERANCE = 1e-4
"""Numbers of two answers that differ by more are not equal. Sums of float32 in another order differ
by about 1e-6, one rounding of bfloat16 by 4e-3."""
TITLE = "changed in batches"
ONE_EXAMPLE = "the test split has one example"


@dataclass(frozen=True)
class Changes:
    """The differences of pairs of answers.

    - ``per_example`` and ``changed``, int64 [examples]: each example's decisions, and how many of
      them differ.
    - ``largest``: the largest difference of two numbers with a fraction, such as probabilities; for
      numbers above 1 as a share of the number.
    - ``equal``: no such difference is above ``TOLERANCE``, and everything else is the same.
    """

    per_example: np.ndarray
    changed: np.ndarray
    largest: float
    equal: bool

    def as_dict(self) -> Sample:
        """The numbers, JSON-ready."""
        return {
            "per_example": written(self.per_example.tolist()),
            "changed": written(self.changed.tolist()),
            "largest": self.largest,
            "equal": self.equal,
        }


def changes_between(
    pairs: Sequence[tuple[Prediction, Prediction]],
    rows: Sequence[Row],
    task: Task[Any],
    labels: Sequence[str],
) -> Changes:
    """The differences of two answers to each of ``rows``."""
    per_example, changed = [], []
    largest, equal = 0.0, True
    for (one, other), row in zip(pairs, rows, strict=True):
        decided = zip(
            _decided(task, one, row, labels), _decided(task, other, row, labels), strict=True
        )
        differ = [own != theirs for own, theirs in decided]
        per_example.append(len(differ))
        changed.append(sum(differ))
        apart, same = _compared(one, other)
        largest, equal = max(largest, apart), equal and same
    equal = equal and largest <= TOLERANCE
    return Changes(np.array(per_example), np.array(changed), largest, equal)


def batched_changes(sample: Sample | None) -> list[Measurement]:
    """``batched_changes``, the share of decisions that batches change, and ``batched_difference``,
    the largest difference of a number of an answer; its detail says whether answers are ``equal``.

    ``sample`` has ``Changes.as_dict`` and the ``conditions``; None if there is one example."""
    if sample is None:
        return absences(ONE_EXAMPLE)
    per_example, stated = read(sample["per_example"], np.int64), sample["conditions"]
    largest = Measurement(
        BATCHED_DIFFERENCE,
        sample["largest"],
        "",
        "lower",
        n=len(per_example),
        conditions=stated,
        detail={"equal": sample["equal"]},
    )
    return [_share(per_example, read(sample["changed"], np.int64), stated), largest]


def absences(why: str) -> list[Measurement]:
    """The two measurements, absent for a reason."""
    return [
        absent(BATCHED_CHANGES, "share", "lower", why, TITLE),
        absent(BATCHED_DIFFERENCE, "", "lower", why),
    ]


def _decided(
    task: Task[Any], answer: Prediction, row: Row, labels: Sequence[str]
) -> Sequence[object]:
    """What an answer decides; an answer that is generated and decides nothing else, its tokens."""
    decided = [decision.answer for decision in task.decisions(answer, row, labels)]
    tokens = answer.get("tokens")
    return decided or ([tokens] if isinstance(tokens, list) else [])


def _share(per_example: np.ndarray, changed: np.ndarray, stated: Conditions) -> Measurement:
    total = int(per_example.sum())
    if not total:
        return absent(BATCHED_CHANGES, "share", "lower", NO_DECISIONS, TITLE)
    # As for flips: decisions of one example change together.
    share, count = float(changed.sum()) / total, effective_count(changed, per_example)
    low, high = wilson(share, count)
    return Measurement(
        BATCHED_CHANGES,
        share,
        "share",
        "lower",
        low,
        high,
        total,
        stated,
        title=TITLE,
        worst=wilson(share, count, ONE_SIDED)[1],
    )


def _compared(one: Any, other: Any) -> tuple[float, bool]:
    """The largest difference of two numbers with a fraction in two answers, and whether everything
    else is the same."""
    if isinstance(one, float) and isinstance(other, float):
        return _apart(one, other)
    pairs = _pairs(one, other)
    if pairs is None:
        return 0.0, bool(one == other)
    compared = [_compared(*pair) for pair in pairs]
    largest = max((apart for apart, _ in compared), default=0.0)
    return largest, all(same for _, same in compared)


def _pairs(one: Any, other: Any) -> list[tuple[Any, Any]] | None:
    """The values at the same places of two mappings or lists; None if there are no such places."""
    if isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() == other.keys():
        return [(one[key], other[key]) for key in one]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return list(zip(one, other, strict=True))
    return None


def _apart(one: float, other: float) -> tuple[float, bool]:
    """The difference of two numbers; those that are not finite are the same or not."""
    if np.isfinite(one) and np.isfinite(other):
        return abs(one - other) / max(1.0, abs(one)), True
    return 0.0, bool(np.array_equal(one, other, equal_nan=True))
