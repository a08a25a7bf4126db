"""A summary of prepared data: rows, labels, lengths and repetitions of each split. It is counted
when the data are prepared, and kept with them."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from compress.task import Row, Task

_HIGH = 0.95


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
    labels: dict[str, int] = Field(description="How often each label occurs; none occurs 0 times.")
    words: Lengths
    repeated: int = Field(description="Rows whose inputs an earlier row of the split has too.")
    in_train: int = Field(description="Rows whose inputs a row of the training split has too.")
    lone_first: str | None = Field(
        description="The label of the first row, where no other row of the split has it."
    )
    tokens: TokenLengths | None = Field(
        default=None, description="null where the recipe's model has no tokenizer of its own yet."
    )


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
        self._train: set[bytes] = set()
        self._splits: dict[str, SplitSummary] = {}

    def add(self, split: str, rows: Sequence[Row], rows_in_source: int) -> None:
        """Count the normalised rows of a split, which has some."""
        prints = [self._print(row) for row in rows]
        labels = [tuple(self._task.labels_in(row, self._labels)) for row in rows]
        counts = Counter(name for names in labels for name in names)
        self._splits[split] = SplitSummary(
            rows=len(rows),
            rows_in_source=rows_in_source,
            labels={name: counts[name] for name in self._labels if counts[name]},
            words=Lengths.of([self._words(row) for row in rows]),
            repeated=len(prints) - len(set(prints)),
            in_train=sum(one in self._train for one in prints),
            lone_first=_lone(labels[0], counts),
        )
        if split == "train":
            self._train = set(prints)

    def summary(self) -> DataSummary:
        """The summary of the splits that were counted."""
        return DataSummary(labels=self._labels, splits=self._splits)

    def _print(self, row: Row) -> bytes:
        """A short digest of a row's inputs. Rows are compared by it, for their texts may be
        large."""
        inputs = {name: row.get(name) for name in self._inputs}
        text = json.dumps(inputs, sort_keys=True, ensure_ascii=False, default=repr)
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def _words(self, row: Row) -> int:
        return sum(_word_count(row.get(name)) for name in self._inputs)


def _lone(labels: Sequence[str], counts: Mapping[str, int]) -> str | None:
    """The only one of a row's labels, where no other row has it."""
    return labels[0] if len(labels) == 1 and counts[labels[0]] == 1 else None


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
