"""A task: which columns a model learns from, how rows become features and outputs become
answers, and how answers are scored.

Nothing here, and nothing that a task's module imports at its top, loads torch: the process
of ONNX Runtime uses it too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import Field

from compress.architecture import ModelConfig
from compress.distillable import Distillable, Divergence
from compress.measurement import Direction
from compress.options import Options
from compress.processor import TextProcessor
from compress.rows import Columns, columns_of, rows_in
from compress.rows import Row as Row
from compress.source import hint_without_labels

if TYPE_CHECKING:
    from torch import Tensor

Features = dict[str, Any]
Prediction = dict[str, Any]
Shown = dict[str, Any]
"""An answer for people, JSON-ready."""
Batch = dict[str, "np.ndarray"]

IGNORED = -100
"""The label of a position that neither a loss nor a score counts; the default of torch's
cross_entropy."""

DEFAULT_OUTPUTS = 2
"""The outputs that transformers gives a head whose config states no number."""


class RowError(Exception):
    """A row that the task cannot use. The message says why; the caller names the row."""


def by_row(function: Callable[[Row], Row], columns: Columns) -> Columns:
    """The columns of the rows that ``function`` makes of the rows of ``columns``: for a task whose
    ``normalise`` looks at one row at a time."""
    return columns_of([function(row) for row in rows_in(columns)])


@dataclass(frozen=True)
class Column:
    """A column that a task reads. A target is what a model learns to answer; rows whose targets
    are not known, as in the test splits of contests, cannot be used."""

    name: str
    description: str
    required: bool = True
    is_target: bool = False

    def hint_where_missing(self, split: str) -> str:
        """What to do where a split does not have the column."""
        hint = f"map it with data.columns: {{{self.name}: ...}}"
        if self.is_target and split != "train":
            return f"{hint}; if its rows have no labels, {hint_without_labels(split)}"
        return hint


@dataclass(frozen=True)
class Quality:
    """A task's score of one split.

    ``metrics`` are scalars by name, ``Task.headline`` among them; ``per_class`` maps a
    label to its precision, recall, f1 (0 to 1) and support.
    """

    metrics: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """One discrete decision in an answer, such as the tag of a word. Two artifacts are
    compared by their decisions.

    ``answer`` is JSON-ready; ``right`` says whether it equals the reference; ``cls`` names
    the reference's class; ``confidence`` is the probability that the model gave its answer,
    None if the answer does not hold it."""

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
    """A task with its options.

    ``optimum_name`` is the name in optimum's TasksManager. ``heads`` are the endings of the
    transformers classes whose head serves the task (``ForTokenClassification``).
    ``headline`` is the metric that quality means; the class states the default, and an
    instance may set another by its options. ``higher_is_better`` says which direction of it
    is better, ``directions`` which one of other metrics."""

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
    draws_inputs: ClassVar[bool] = False
    """Whether ``collate`` makes other inputs of an example in each epoch, such as masks. Then a
    teacher answers while its student learns: no answer of it could be kept."""

    # model cards: how a model of the task is used without the toolkit
    pipeline_tag: ClassVar[str | None] = None
    """The model hub's name of the task (https://huggingface.co/tasks); None if it has
    none."""
    auto_class: ClassVar[str | None] = None
    """The class of transformers that opens a stock model with this head; None if none
    does."""
    example: ClassVar[str] = "A text to try it on."
    reading: ClassVar[str] = ""
    """Python that prints the answer from the names that ``compress.engine.Loading`` binds;
    empty: cards load models with the toolkit."""

    def __init__(self, options: O) -> None:
        self.options = options

    # rows: once, when the data are prepared

    @abstractmethod
    def labels(
        self, splits: Mapping[str, Iterable[Columns]], declared: Sequence[str] | None
    ) -> list[str]:
        """Label names in order; empty for a task without labels.

        ``splits`` has the columns of each split, of some rows at a time; it is walked once.
        ``declared`` are names that the recipe or the source states."""

    @abstractmethod
    def normalise(self, columns: Columns, labels: Sequence[str]) -> Columns:
        """The task's own columns of some rows, in their order, with labels as indices. ``columns``
        lacks those that no row has.

        Raises RowError where a row cannot be used. Each row is then asked for alone, so that the
        user gets the place of every such row. ``by_row`` makes it of a function of one row."""

    def count_labels(self, columns: Columns, labels: Sequence[str]) -> Mapping[str, int]:
        """How often each label occurs in normalised columns, by its name, for the summary of the
        data. By default none is counted."""
        return {}

    def head_config(self, labels: Sequence[str]) -> ModelConfig:
        """Entries of the model's config that the head needs: label maps,
        ``problem_type``."""
        if not labels:
            return {}
        numbers = {name: number for number, name in enumerate(labels)}
        return {"id2label": dict(enumerate(labels)), "label2id": numbers}

    @classmethod
    def stated_labels(cls, config: ModelConfig) -> tuple[str, ...]:
        """Label names in order that a model's ``config.json`` states for a head of this
        task; empty if such a head has no labels, the default.

        A task whose head has an output for each label returns ``labels_of_outputs``."""
        return ()

    def head_mistake(self, config: ModelConfig, labels: Sequence[str]) -> str | None:
        """Why a head for this task does not fit these options, as in "has 1 output, and
        ..."; None if it fits.

        ``config`` is the model's ``config.json``. ``labels`` are those of the data if the
        model names none itself, else empty. By default every head fits."""
        return None

    def tokenizer_mistake(self, processor: TextProcessor) -> str | None:
        """What the task's head needs and the model's tokenizer does not give, as in "its head
        reads the end token, and ..."; None, the default, if nothing is missing."""
        return None

    # examples: in training, measuring and serving alike

    def processor(self, folder: str | Path) -> TextProcessor:
        """The processor, saved in a model folder, that turns this task's rows into
        features."""
        return TextProcessor.load(folder)

    @abstractmethod
    def features(self, rows: Sequence[Row], processor: TextProcessor) -> list[Features]:
        """One dict for each row, in order: ``input_ids`` and the like as lists of ints, and
        ``labels`` if the row has them. Deterministic: random choices, such as masks, belong
        to ``collate``."""

    def length(self, features: Features) -> int:
        """The length by which batches are made, in tokens."""
        return len(features["input_ids"])

    def group(self, features: Features) -> int:
        """A number that examples of one batch have in common; by default that of all. Some heads
        cannot take some examples together."""
        return 0

    @abstractmethod
    def collate(
        self,
        features: Sequence[Features],
        processor: TextProcessor,
        generator: np.random.Generator | None = None,
    ) -> Batch:
        """Arrays [batch, length] padded to the longest, int64: with ``attention_mask``, and
        with ``labels`` if the features have them.

        ``generator`` is given only in training, for random choices such as masks."""

    # distillation

    def distillable(
        self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]
    ) -> list[Distillable]:
        """What a student can learn of a model's ``outputs`` for a ``batch``; a teacher and its
        students are asked alike. Empty: nothing.

        By default the output ``logits``. Of one answer for an example, [batch, width], all count.
        Of one for a token, [batch, length, width], those count whose label is not IGNORED: a
        teacher was never trained at the others, and its answers there are noise. If the batch has
        no label for each token, all but padding count. A single number is a regression, a wider
        answer a softmax."""
        logits = outputs.get("logits")
        if logits is None:
            return []
        kind: Divergence = "regression" if logits.shape[-1] == 1 else "softmax"
        return [Distillable(logits, _counted(logits.shape[:-1], batch), kind)]

    # answers

    def counted(self, batch: Mapping[str, Tensor]) -> int:
        """The number of things over which the loss of a batch is a mean: by default its labels
        without ``IGNORED`` ones; its examples, if the labels are no indices or there are none.

        Several processes that share a batch weigh their losses by it. ``batch`` is what
        ``collate`` made, as tensors."""
        labels = batch.get("labels")
        if labels is None or labels.is_floating_point():
            return len(next(iter(batch.values())))
        return int((labels != IGNORED).sum())

    @abstractmethod
    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Features]
    ) -> list[Prediction]:
        """One JSON-ready answer for each example of the batch, in order. ``outputs`` are
        the model's, by name."""

    @abstractmethod
    def score(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> Quality:
        """Quality of the predictions against the references in ``rows``, in the same
        order."""

    def resample(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> np.ndarray | None:
        """Counts of each example [n, k] for a fast bootstrap; None if the task has none.

        ``headline_of`` computes the headline of a resample from the sums of its examples'
        counts [k], so that no resample is scored anew."""
        return None

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        """The headline metric [...] of summed counts [..., k]."""
        raise NotImplementedError(f"{self.name} defines resample without headline_of")

    def most_frequent(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> list[Prediction] | None:
        """The answers of a model that gives every row the answer that is most often right in
        ``rows``; None, the default, if the task has no such answer.

        A model whose score is no better has learnt nothing that its score shows.
        ``predictions`` are a model's answers to the rows, for a task whose rows do not say
        what was asked."""
        return None

    def decisions(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> list[Decision]:
        """The decisions of one example, of equal number and order for every model. Flips,
        paired tests and calibration count them. Empty for a task without decisions, such as a
        regression."""
        return []

    # serving

    @abstractmethod
    def request(self, texts: Sequence[str]) -> list[Row]:
        """Rows without references for texts that a user typed. The two texts of a pair have
        a tab between them."""

    @abstractmethod
    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> Shown:
        """The answer with label names and text, as ``compress predict`` prints it."""


def _counted(shape: Sequence[int], batch: Mapping[str, Tensor]) -> Tensor | None:
    """Which answers of ``shape`` [batch, ...] count; None: all."""
    if len(shape) == 1:
        return None
    labels, mask = batch.get("labels"), batch.get("attention_mask")
    if labels is not None and labels.shape == shape:
        return labels != IGNORED
    return mask.bool() if mask is not None and mask.shape == shape else None


def labels_of_outputs(config: ModelConfig) -> tuple[str, ...]:
    """Label names in order of a head that has an output for each label: those of
    ``id2label`` in the model's ``config.json``.

    A config without it, as transformers writes one for two outputs without names, has
    numbered names (see ``is_numbered``). Configs of other heads have none or these two as
    well, and mean nothing by it."""
    names = config.get("id2label")
    if not names:
        return _numbered(config.get("num_labels", DEFAULT_OUTPUTS))
    return tuple(str(names[key]) for key in sorted(names, key=int))


def is_numbered(labels: Sequence[str]) -> bool:
    """Whether label names are only the outputs' numbers: ``LABEL_0``, ``LABEL_1`` and so
    on, as transformers names the labels of a head without names."""
    return bool(labels) and tuple(labels) == _numbered(len(labels))


def meant_labels(own: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """The meaning of a head's outputs: its ``own`` names. Where these are only numbers, as
    many as the data have ``labels``, it is the data's labels in their order."""
    numbers_alone = is_numbered(own) and len(own) == len(labels) and set(own) != set(labels)
    return tuple(labels if numbers_alone else own)


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"LABEL_{i}" for i in range(count))
