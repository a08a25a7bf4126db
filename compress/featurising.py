"""The features of rows that need not fit in memory: made when they are read, and kept while there
is room. Their lengths are known without them.

They are not stored: to make features again takes about as long as to read them from a file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from compress.errors import CompressError
from compress.rows import CHUNK, Lazy
from compress.task import Features, Row, Task

_KEPT_BYTES = 64 << 20
"""Bytes of features that are kept: those of some ten thousand texts."""
_LARGEST_SHARED = 256
"""Python has each whole number up to this one only once."""


class FeatureRows(Lazy[Features]):
    """The features of ``rows``, in the order of the rows.

    ``lengths`` (int32) and ``groups`` (int64) are those that the task says. ``parts[i]`` are the
    places of row i's features: one, unless the task cuts rows into several parts. ``told(done,
    total)`` is called with numbers of rows while all are made for the first time.

    Raises CompressError, which names the task, where its features do not follow the rows."""

    def __init__(
        self,
        task: Task[Any],
        rows: Sequence[Row],
        processor: Any,
        told: Callable[[int, int], object] = lambda done, total: None,
    ) -> None:
        self._task, self._rows, self._processor = task, rows, processor
        self._kept: list[Features] = []
        self._walk(told)

    def _walk(self, told: Callable[[int, int], object]) -> None:
        """Make all features once: keep the first ones, and what is to be known of the others."""
        total, used = len(self._rows), 0
        lengths, groups, counts = [], [], [np.empty(0, np.int64)]
        for start in range(0, total, CHUNK):
            numbers = range(start, min(start + CHUNK, total))
            made, count = self._made(numbers)
            lengths += [np.array([self._task.length(one) for one in made], np.int32)]
            groups += [np.array([self._task.group(one) for one in made], np.int64)]
            counts.append(count)
            used += _bytes(made[0]) * len(made)
            if used <= _KEPT_BYTES:
                self._kept += made
            told(numbers.stop, total)
        self.lengths = np.concatenate([np.empty(0, np.int32), *lengths])
        self.groups = np.concatenate([np.empty(0, np.int64), *groups])
        starts = np.cumsum(np.concatenate([[0], *counts]))
        self.parts = _Parts(starts)

    def __len__(self) -> int:
        return len(self.lengths)

    def item(self, index: int) -> Features:
        """The features at an index from 0 on."""
        return self.take([index])[0]

    def __iter__(self) -> Iterator[Features]:
        for start in range(0, len(self), CHUNK):
            yield from self.take(range(start, min(start + CHUNK, len(self))))

    def take(self, places: Sequence[int]) -> list[Features]:
        """The features at some places, made together."""
        kept = len(self._kept)
        again = [place for place in places if place >= kept]
        made = self._again(again) if again else {}
        return [self._kept[place] if place < kept else made[place] for place in places]

    def _again(self, places: Sequence[int]) -> Mapping[int, Features]:
        """The features of the rows of some places, by place."""
        numbers = sorted({self.parts.owner(place) for place in places})
        made, _ = self._made(numbers)
        every = chain.from_iterable(self.parts[number] for number in numbers)
        return dict(zip(every, made, strict=True))

    def _made(self, numbers: Sequence[int]) -> tuple[list[Features], np.ndarray]:
        """The features of the rows of these numbers, and how many each row has, int64 [rows]."""
        made = self._task.features([self._rows[number] for number in numbers], self._processor)
        owners = np.array([one.get("row", place) for place, one in enumerate(made)], np.int64)
        is_negative = not len(owners) or owners.min() < 0
        counts = np.bincount(owners[:0] if is_negative else owners, minlength=len(numbers))
        if len(counts) != len(numbers) or 0 in counts or (np.diff(owners) < 0).any():
            raise CompressError(
                f"task {self._task.name}: features of {len(numbers)} rows are {len(made)} dicts "
                "that do not follow the rows: give one for each, or several with `row`, the index "
                "of theirs"
            )
        for one in made:
            if "row" in one:
                one["row"] = numbers[one["row"]]
        return made, counts


class _Parts(Lazy[Sequence[int]]):
    """The places of each row's features. ``starts`` has the place of each row's first, int64
    [rows + 1]."""

    def __init__(self, starts: np.ndarray) -> None:
        self._starts = starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    def item(self, index: int) -> Sequence[int]:
        """The places of a row's features."""
        return range(int(self._starts[index]), int(self._starts[index + 1]))

    def owner(self, place: int) -> int:
        """The number of the row whose features are at a place."""
        return int(np.searchsorted(self._starts, place, side="right")) - 1


def take(features: Sequence[Features], places: Sequence[int]) -> list[Features]:
    """The features at some places."""
    if isinstance(features, FeatureRows):
        return features.take(places)
    return [features[place] for place in places]


def lengths_of(task: Task[Any], features: Sequence[Features]) -> Sequence[int]:
    """The length of each of the features."""
    if isinstance(features, FeatureRows):
        return [*features.lengths.tolist()]
    return [task.length(one) for one in features]


def groups_of(
    task: Task[Any], features: Sequence[Features], places: Sequence[int]
) -> Sequence[int]:
    """The group of the features at each of these places."""
    if isinstance(features, FeatureRows):
        return [*features.groups[list(places)].tolist()]
    return [task.group(features[place]) for place in places]


def _bytes(value: Any) -> int:
    """About how many bytes of memory a feature takes."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(map(_bytes, value.values())) + sys.getsizeof(value)
    if isinstance(value, list | tuple):
        return sum(map(_bytes, value)) + sys.getsizeof(value)
    is_shared = isinstance(value, int) and -6 < value <= _LARGEST_SHARED
    return 0 if is_shared else sys.getsizeof(value)
