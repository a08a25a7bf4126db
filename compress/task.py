"""What a model is for: which columns it learns from, how rows become features and outputs become
answers, and the score.

Nothing here, and nothing that a task imports at the top of its module, loads torch: an ONNX Runtime
process uses it too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import Field

from compress.measurement import Direction
from compress.options import Options
from compress.processor import TextProcessor

Row = Mapping[str, Any]
Features = dict[str, Any]
Prediction = dict[str, Any]
Batch = dict[str, np.ndarray]

IGNORED = -100
"""The label of a position that neither a loss nor a score counts (torch's cross_entropy
default)."""


_OUTPUTS = 2
"""What transformers gives a head whose config states no number."""


class RowError(Exception):
    """A row that the task cannot use; the message says why, the caller names the row."""


@dataclass(frozen=True)
class Column:
    """A column that a task reads."""

    name: str
    description: str
    required: bool = True


@dataclass(frozen=True)
class Quality:
    """A task's score of one split.

    ``metrics`` are scalars by name and hold ``Task.headline``; ``per_class`` maps a label to its
    precision, recall, f1 (0 to 1) and support.
    """

    metrics: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """One discrete decision in an answer, such as the tag of a word: two artifacts are compared by
    theirs.

    ``answer`` is JSON-ready; ``right`` says whether it equals the reference; ``cls`` names the
    reference's class; ``confidence`` is the probability that the model gave its answer (None where
    the answer does not hold it)."""

    answer: str | int | None
    right: bool
    cls: str
    confidence: float | None = None


class TaskOptions(Options):
    """Options that every task on text has."""

    max_length: int = Field(
        default=128, ge=4, description="Tokens kept of an example; what is longer is cut."
    )


O = TypeVar("O", bound=TaskOptions)


class Task(ABC, Generic[O]):
    """A task with its options. ``optimum_name`` is what optimum's TasksManager calls it; ``heads``
    are the endings of transformers class names whose head serves it (``ForTokenClassification``);
    ``headline`` is the metric that quality means (a class states the default, an instance may set
    its own by its options); ``higher_is_better`` says which way it points, ``directions`` which way
    other metrics do."""

    name: ClassVar[str]
    summary: ClassVar[str]
    synonyms: ClassVar[tuple[str, ...]] = ()
    optimum_name: ClassVar[str]
    heads: ClassVar[tuple[str, ...]]
    columns: ClassVar[tuple[Column, ...]]
    headline: str
    higher_is_better: ClassVar[bool] = True
    directions: ClassVar[Mapping[str, Direction]] = {}
    Options: ClassVar[type[TaskOptions]] = TaskOptions

    # model cards: how a model of the task is used without the toolkit
    pipeline_tag: ClassVar[str | None] = None
    """The model hub's name of the task (https://huggingface.co/tasks); None where it has none."""
    auto_class: ClassVar[str | None] = None
    """The class of transformers that opens a stock model with this head; None where none does."""
    example: ClassVar[str] = "A text to try it on."
    reading: ClassVar[str] = ""
    """Python that prints the answer, from what ``compress.engine.Loading`` binds; empty: cards load
    models with the toolkit."""

    def __init__(self, options: O) -> None:
        self.options = options

    # rows: once, when the data are prepared

    @abstractmethod
    def labels(
        self, rows: Mapping[str, Sequence[Row]], declared: Sequence[str] | None
    ) -> list[str]:
        """Label names in order, from the rows of all splits; ``declared`` where the recipe or the
        source states them.

        Empty for a task without labels."""

    @abstractmethod
    def normalise(self, row: Row, labels: Sequence[str]) -> Row:
        """The row with the task's columns only and labels as indices; raises RowError for one it
        cannot use."""

    def head_config(self, labels: Sequence[str]) -> dict[str, Any]:
        """Entries of the model's config that the head needs: label maps, ``problem_type``."""
        return (
            {"id2label": dict(enumerate(labels)), "label2id": {n: i for i, n in enumerate(labels)}}
            if labels
            else {}
        )

    @classmethod
    def stated_labels(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Label names in order that a model's ``config.json`` states for a head of this task; empty
        where it has none.

        By default those of ``id2label``, and where there is none the names by which transformers
        numbers outputs (see ``is_numbered``): a config with two of them leaves them out. A task
        whose head can be without labels says when."""
        names = config.get("id2label")
        if not names:
            return _numbered(config.get("num_labels", _OUTPUTS))
        return tuple(str(names[key]) for key in sorted(names, key=int))

    def head_mistake(self, config: Mapping[str, Any], labels: Sequence[str]) -> str | None:
        """What makes a head for this task unfit for these options, as in "has 1 output, and ...";
        None where it fits.

        ``config`` is the model's ``config.json``; ``labels`` are those of the data where the model
        names none of its own, else empty. By default every head fits."""
        return None

    # examples: in training, measuring and serving alike

    def processor(self, folder: str | Path) -> TextProcessor:
        """What turns this task's rows into features, as saved in a model folder."""
        return TextProcessor.load(folder)

    @abstractmethod
    def features(self, rows: Sequence[Row], processor: TextProcessor) -> list[Features]:
        """One dict for each row, in order: ``input_ids`` and the like as lists of ints, ``labels``
        where the row has them. Deterministic; masking and other chance belong to ``collate``."""

    def length(self, features: Features) -> int:
        """Length by which batches are bucketed: number of tokens."""
        return len(features["input_ids"])

    @abstractmethod
    def collate(
        self,
        features: Sequence[Features],
        processor: TextProcessor,
        generator: np.random.Generator | None = None,
    ) -> Batch:
        """Arrays [batch, length] padded to the longest, int64 (``attention_mask`` included;
        ``labels`` where present).

        ``generator`` is given in training alone, for tasks that draw (masking)."""

    # answers

    @abstractmethod
    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Features]
    ) -> list[Prediction]:
        """One JSON-ready answer for each example of the batch, in order, from the model's named
        outputs."""

    @abstractmethod
    def score(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> Quality:
        """Quality of predictions against the rows' references, both in the same order."""

    def resample(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> np.ndarray | None:
        """Per-example counts [n, k] from which the headline of any resample follows, for a fast
        bootstrap (see ``headline_of``); None where the task has no such statistic."""
        return None

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        """The headline metric for summed counts [..., k] -> [...]."""
        raise NotImplementedError(f"{self.name} defines resample without headline_of")

    def decisions(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> list[Decision]:
        """The decisions of one example, as many and in the same order whatever model answered: by
        them flips, paired tests and calibration are counted. Empty where answers are no decisions
        (a regression)."""
        return []

    # serving

    @abstractmethod
    def request(self, texts: Sequence[str]) -> list[Row]:
        """Rows without references for texts that a user typed; a pair's two stand in one text with
        a tab between them."""

    @abstractmethod
    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> dict[str, Any]:
        """The answer with label names and text, as ``compress predict`` prints it."""


def is_numbered(labels: Sequence[str]) -> bool:
    """Whether label names say no more than the outputs' numbers: ``LABEL_0``, ``LABEL_1`` and on,
    as transformers calls the labels of a head that was given none."""
    return bool(labels) and tuple(labels) == _numbered(len(labels))


def meant_labels(own: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """What a head's outputs mean where the data's labels are ``labels``: its ``own`` names, and
    where these are numbers alone, as many as the data have labels, the data's labels in their
    order."""
    numbers_alone = is_numbered(own) and len(own) == len(labels) and set(own) != set(labels)
    return tuple(labels if numbers_alone else own)


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"LABEL_{i}" for i in range(count))
