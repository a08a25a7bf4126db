"""The decisions of a whole test split, in a form that is short as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from compress.task import Decision

NO_DECISIONS = "the task's answers are no decisions that could change"


class Named(TypedDict):
    """Values with repetitions: the distinct ``names``, and the ``places`` of the values
    among them, as ``written`` writes numbers."""

    names: list[Any]
    places: str


class Kept(TypedDict):
    """Decisions as JSON. Texts hold numbers, as ``written`` writes them."""

    per_example: str
    answers: Named
    right: str
    classes: Named
    confidence: str


@dataclass(frozen=True)
class Decisions:
    """Decisions in the order of the examples.

    ``per_example`` int64 [examples] is the number of decisions of each example. ``answers``
    and ``classes`` (objects), ``right`` (bool) and ``confidence`` (float64, nan if the
    answer has none) are [decisions]."""

    per_example: np.ndarray
    answers: np.ndarray
    right: np.ndarray
    classes: np.ndarray
    confidence: np.ndarray

    def of_examples(self, values: np.ndarray) -> np.ndarray:
        """Sums of ``values`` [decisions] for each example, float64 [examples]."""
        owners = np.repeat(np.arange(len(self.per_example)), self.per_example)
        return np.bincount(owners, weights=values, minlength=len(self.per_example))


def keep(decisions: Iterable[Sequence[Decision]]) -> Kept | None:
    """The decisions of each example as JSON; None where there are none at all."""
    counts: list[int] = []
    flat: list[Decision] = []
    for of_one in decisions:
        counts.append(len(of_one))
        flat.extend(of_one)
    if not flat:
        return None
    shares = [math.nan if d.confidence is None else round(float(d.confidence), 5) for d in flat]
    return {
        "per_example": written(counts),
        "answers": _named([d.answer for d in flat]),
        "right": written(int(d.right) for d in flat),
        "classes": _named([d.cls for d in flat]),
        "confidence": written(shares),
    }


def opened(kept: Kept) -> Decisions:
    """The decisions that ``keep`` wrote."""
    return Decisions(
        read(kept["per_example"], np.int64),
        _values(kept["answers"]),
        read(kept["right"], np.int64).astype(bool),
        _values(kept["classes"]),
        read(kept["confidence"]),
    )


def written(numbers: Iterable[float]) -> str:
    """Numbers as one text: in an indented JSON file a list would take a line for each."""
    return " ".join(map(repr, numbers))


def read(text: str, dtype: type[np.generic] | type[float] = float) -> np.ndarray:
    """The numbers that ``written`` wrote, [n]; float64 unless ``dtype`` is given."""
    return np.array(text.split(), dtype=dtype)


def _named(values: Sequence[Any]) -> Named:
    places = {value: place for place, value in enumerate(dict.fromkeys(values))}
    return {"names": list(places), "places": written(places[value] for value in values)}


def _values(named: Named) -> np.ndarray:
    """The values that ``_named`` wrote, objects [n]."""
    values: np.ndarray = np.array(named["names"], dtype=object)[read(named["places"], np.int64)]
    return values
