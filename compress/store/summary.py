"""A summary of prepared data: rows, labels, lengths and repetitions of each split. It is counted
when the data are prepared, and kept with them."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from compress.rows import Columns, length_of
from compress.store.splits import Split
from compress.task import Task

_HIGH = 0.95
_COUNTED = 10_000
"""Rows of a split whose words are counted: enough for the shares that are shown."""


class SummaryPart(BaseModel):
    """A part of a summary. Unknown keys and values of another type are errors."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        json_schema_serialization_defaults_required=True,
    )


class Lengths(SummaryPart):
    """Lengths of examples: the median, a length that 95 % do not exceed, and the longest."""

    median: int
    high: int = Field(description="At least 95 % of the examples are no longer.")
    longest: int

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Lengths:
        """The figures of at least one length."""
        ordered = sorted(lengths)
        return cls(
            median=_length_of_share(ordered, 0.5),
            high=_length_of_share(ordered, _HIGH),
            longest=ordered[-1],
        )


def _length_of_share(ordered: Sequence[int], share: float) -> int:
    """The smallest of the lengths that at least this share of them does not exceed."""
    return ordered[math.ceil(share * len(ordered)) - 1]


class TokenLengths(SummaryPart):
    """Lengths in tokens of the recipe's model, and the share of examples that ``max_length``
    cuts."""

    of: int = Field(description="Examples that were counted: all, or some of them evenly spread.")
    max_length: int
    cut: float = Field(description="Share of the examples that are longer than max_length.")
    lengths: Lengths


class SplitSummary(SummaryPart):
    """The figures of one split. Inputs are what a model reads of a row, without its labels."""

    rows: int
    rows_in_source: int = Field(description="More than rows where the recipe limits them.")
    examples: int = Field(description="Examples of the rows: fewer where the task joins rows.")
    labels: dict[str, int] = Field(description="How often each label occurs; none occurs 0 times.")
    words: Lengths
    words_of: int = Field(description="Rows whose words were counted: all, or some drawn ones.")
    repeated: int = Field(description="Rows whose inputs an earlier row of the split has too.")
    in_train: int = Field(description="Rows whose inputs a row of the training split has too.")
    lone_first: str | None = Field(
        description="The label of the first row, where no other row of the split has it."
    )
    tokens: TokenLengths | None = Field(
        default=None, description="null where the recipe's model has no tokenizer of its own yet."
    )

    @property
    def counted(self) -> tuple[Lengths, str, str]:
        """The lengths that are shown, in tokens if they are known, their unit, and what was
        counted, as in ``512 of these rows``; empty if it was all."""
        if self.tokens is None:
            return self.words, "words", _some(self.words_of, self.rows, "rows")
        kind = "rows" if self.examples == self.rows else "examples"
        return self.tokens.lengths, "tokens", _some(self.tokens.of, self.examples, kind)


def _some(count: int, total: int, kind: str) -> str:
    return "" if count == total else f"{count:,} of these {kind}"


class DataSummary(SummaryPart):
    """The summary of all splits. ``labels`` are in the order of a model's outputs."""

    labels: tuple[str, ...]
    splits: dict[str, SplitSummary]


class Summarising:
    """Counts the splits of data for a task, one after the other, the training split first."""

    def __init__(self, task: Task[Any], labels: Sequence[str]) -> None:
        self._task = task
        self._labels = tuple(labels)
        self._inputs = [column.name for column in task.columns if not column.is_target]
        self._train = np.empty(0, np.int64)
        self._splits: dict[str, SplitSummary] = {}

    def watch(self, split: Split, normalised: Iterable[Columns]) -> Iterator[Columns]:
        """The normalised columns of a split as they are, counted as they pass. A split is counted
        when all of its rows have passed."""
        rows = len(split.rows)
        counting = _Counting(self._task, self._labels, self._inputs, rows)
        for columns in normalised:
            counting.add(columns)
            yield columns
        if counting.rows == rows:
            self._splits[split.name] = counting.summary(split.in_source, self._train)
            if split.name == "train":
                self._train = counting.distinct

    def made(self, split: str, examples: int) -> None:
        """Take the number of examples that the task made of a split's rows."""
        if split in self._splits:
            one = self._splits[split].model_copy(update={"examples": examples})
            self._splits[split] = one

    def summary(self) -> DataSummary:
        """The summary of the splits that were counted."""
        return DataSummary(labels=self._labels, splits=self._splits)


class _Counting:
    """The counts of one split, of some rows after the other; ``total`` is the number of all."""

    def __init__(
        self, task: Task[Any], labels: Sequence[str], inputs: Sequence[str], total: int
    ) -> None:
        self._task, self._labels, self._inputs = task, labels, inputs
        self.rows = 0
        self._first: Mapping[str, int] = {}
        self._counts = Counter[str]()
        self._prints: list[np.ndarray] = []
        self._words: list[int] = []
        self._drawn = np.zeros(total, bool)
        self._drawn[np.random.default_rng(0).permutation(total)[:_COUNTED]] = True

    def add(self, columns: Columns) -> None:
        """Count normalised rows."""
        if not self.rows:
            self._first = self._task.count_labels(_one(columns), self._labels)
        self._counts.update(self._task.count_labels(columns, self._labels))
        cells = [columns[name] for name in self._inputs if name in columns]
        count = length_of(columns)
        self._prints.append(_prints(cells, count))
        for place in np.flatnonzero(self._drawn[self.rows : self.rows + count]).tolist():
            self._words.append(sum(_word_count(cell[place]) for cell in cells))
        self.rows += count

    def summary(self, rows_in_source: int, train: np.ndarray) -> SplitSummary:
        """The figures; ``train`` are the distinct prints of the training rows."""
        prints = np.concatenate(self._prints)
        self.distinct = _distinct(prints)
        return SplitSummary(
            rows=self.rows,
            rows_in_source=rows_in_source,
            examples=self.rows,
            labels={name: self._counts[name] for name in self._labels if self._counts[name]},
            words=Lengths.of(self._words),
            words_of=len(self._words),
            repeated=self.rows - len(self.distinct),
            in_train=_count_of_both(prints, train),
            lone_first=_lone(self._first, self._counts),
        )


def _one(columns: Columns) -> Columns:
    """The columns of the first row alone."""
    return {name: list(islice(cells, 1)) for name, cells in columns.items()}


def _prints(cells: Sequence[Sequence[Any]], count: int) -> np.ndarray:
    """A number for the inputs of each of ``count`` rows, int64. Rows are compared by it, for their
    texts may be large.

    Python's hash of a text has 64 bits: of a million different texts two have one number once in
    40 million times. It is another one in each process, so it is not kept."""
    filled = [(i, column) for i, column in enumerate(cells) if column.count(None) < count]
    keys = ([(i, _key(cell)) for cell in column] for i, column in filled)
    rows = zip(*keys, strict=True) if filled else iter([()] * count)
    if len(filled) > 1:  # a row does not depend on what its neighbours have
        rows = (tuple(key for key in row if key[1] is not None) for row in rows)
    return np.fromiter(map(hash, rows), np.int64, count)


def _key(cell: Any) -> Any:
    """A value whose hash tells cells apart: the text itself; of other cells a text."""
    if cell is None or isinstance(cell, str):
        return cell
    return json.dumps(cell, sort_keys=True, default=repr)


def _distinct(numbers: np.ndarray) -> np.ndarray:
    """The distinct numbers, in order. ``numpy.unique`` is ten times as slow."""
    ordered = np.sort(numbers)
    distinct: np.ndarray = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    return distinct


def _count_of_both(numbers: np.ndarray, ordered: np.ndarray) -> int:
    """How many of the numbers are among the ``ordered`` ones."""
    if not len(ordered):
        return 0
    places = np.searchsorted(ordered, numbers).clip(max=len(ordered) - 1)
    return int((ordered[places] == numbers).sum())


def _lone(first: Mapping[str, int], counts: Mapping[str, int]) -> str | None:
    """The only label of the first row, where no other row has it."""
    if sum(first.values()) != 1:
        return None
    (name,) = (name for name, count in first.items() if count)
    return name if counts[name] == 1 else None


def _word_count(value: object) -> int:
    """The words of a text, or the items of a list of words; 0 for any other value."""
    if isinstance(value, str):
        return len(value.split())
    return len(value) if isinstance(value, list) else 0


def with_tokens(summary: DataSummary, tokens: Mapping[str, TokenLengths]) -> DataSummary:
    """The summary with the lengths in tokens of these splits."""
    splits = {}
    for split, one in summary.splits.items():
        splits[split] = one.model_copy(update={"tokens": tokens.get(split)})
    return summary.model_copy(update={"splits": splits})
