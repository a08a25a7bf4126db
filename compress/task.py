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
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from pydantic import Field

from compress.architecture import ModelConfig
from compress.distillable import Distillable, Divergence
from compress.errors import CompressError
from compress.generation import Limits
from compress.heads import auto_class_of, labels_of_outputs, states_labels
from compress.measurement import Direction
from compress.options import Options
from compress.processor import Processor, TextProcessor
from compress.request import Request
from compress.rows import Columns, columns_of, rows_in
from compress.rows import Row as Row
from compress.session import Session
from compress.sizes import positions
from compress.source import hint_without_labels
from compress.specialtokens import BERT, SpecialTokens

if TYPE_CHECKING:
    from torch import Tensor

Features = dict[str, Any]
Prediction = dict[str, Any]
Shown = dict[str, Any]
"""An answer for people, JSON-ready."""
Batch = dict[str, "np.ndarray"]
Variation = Callable[[Row, float, "np.random.Generator"], "Row | None"]
"""Makes a new training row of one, about a share of which is changed; None for a row in which
nothing can be. What is drawn depends on the generator alone."""

IGNORED = -100
"""The label of a position that neither a loss nor a score counts; the default of torch's
cross_entropy."""

SAMPLE_TEXTS = (
    "[MASK].",
    "[MASK] is the first of two sentences.",
    "[MASK] begins the second one, which has some more words than the first, so that the two are "
    "of different lengths.",
    " ".join(["[MASK]", *["and on and on it goes"] * 40]),
)
"""Texts of different lengths, the last as long as most models allow. Each begins with a mask, for a
task that fills them, so that no cut takes it away."""


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
    label to its precision, recall, f1 (0 to 1) and support. ``signatures`` say
    of metrics how their library counted, so that others can count alike.
    """

    metrics: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    signatures: Mapping[str, str] = field(default_factory=dict)


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


@dataclass(frozen=True)
class CardInfo:
    """What model cards show of a task: an ``example`` text to try, and ``reading``, Python that
    prints the answer from the names that ``compress.engine.Loading`` binds. Without a ``reading``,
    cards load models with the toolkit: so do those of a task that adds to a text, such as a
    prefix."""

    example: str = "A text to try it on."
    reading: str = ""


class TaskOptions(Options):
    """Options of a task; by default none."""

    def limit(self, config: ModelConfig) -> str | None:
        """What of these options does not fit a model of that config, as in "keeps 128 tokens of an
        example, and ..."; None, the default, if all fits."""
        return None

    def fitted(self, config: ModelConfig) -> Self:
        """These options with what a model of that config allows; by default as they are."""
        return self


class TextTaskOptions(TaskOptions):
    """Options that every task on text has."""

    max_length: int = Field(
        default=128, ge=4, description="Tokens kept of an example; what is longer is cut."
    )

    def limit(self, config: ModelConfig) -> str | None:
        """More tokens than the model has positions for."""
        most = positions(config)
        if most is None or self.max_length <= most:
            return None
        return (
            f"keeps {self.max_length} tokens of an example, and the model has {most} positions: "
            f"set max_length: {most}"
        )

    def fitted(self, config: ModelConfig) -> Self:
        """With no more tokens than the model has positions for."""
        most = positions(config)
        if most is None or self.max_length <= most:
            return self
        return self.model_copy(update={"max_length": most})


O = TypeVar("O", bound=TaskOptions)
_AnyOptions = Options


class Task(ABC, Generic[O]):
    """A task with its options.

    ``kind`` is the model hub's name of the task (https://huggingface.co/tasks): it says which class
    opens a model, and model cards state it; empty, the default, if the hub has no name: then
    ``model_class`` says it. ``headline`` is the
    metric that quality means; the class states the default, and an instance may set another by its
    options. ``higher_is_better`` says which direction of it is better, ``directions`` which one of
    other metrics. ``processor_class`` turns rows into features, as ``processor`` loads it."""

    name: ClassVar[str]
    summary: ClassVar[str]
    synonyms: ClassVar[tuple[str, ...]] = ()
    kind: ClassVar[str] = ""
    columns: ClassVar[tuple[Column, ...]]
    headline: str
    higher_is_better: ClassVar[bool] = True
    directions: ClassVar[Mapping[str, Direction]] = {}
    Options: ClassVar[type[TaskOptions]] = TaskOptions
    processor_class: ClassVar[type[Processor]] = TextProcessor
    card: ClassVar[CardInfo] = CardInfo()
    bundled: ClassVar[str] = ""
    """The module whose file alone answers for the task in a bundle, with numpy and tokenizers:
    ``Answering`` and ``EXAMPLES``, as docs/plugins.md describes them. Empty, the default: models
    for the task cannot be bundled."""
    RequestOptions: ClassVar[type[_AnyOptions]] = _AnyOptions
    """What a user may ask of one answer, as flags of ``compress predict`` and in Python; none by
    default. A task that generates has ``compress.generation.Limits``."""
    streams: ClassVar[str] = ""
    """The key of the text in what ``present`` returns that comes piece by piece, where answers are
    generated; empty: answers come whole."""
    packages: ClassVar[tuple[str, ...]] = ()
    """The modules that the task imports where it is used. Where one is missing, a run is refused
    before it starts; the message names ``extra``."""
    extra: ClassVar[str | None] = None
    """The extra of the distribution that installs the ``packages``."""
    draws_inputs: ClassVar[bool] = False
    """Whether ``collate`` makes other inputs of an example in each epoch, such as masks. Then a
    teacher answers while its student learns: no answer of it could be kept."""
    special_tokens: ClassVar[SpecialTokens] = BERT
    """Those of a tokenizer that is trained for the task; by default an encoder's."""

    def __init__(self, options: O) -> None:
        self.options = options

    def needed_packages(self) -> tuple[str, ...]:
        """Which of the ``packages`` these options need; by default all."""
        return self.packages

    # models

    @classmethod
    def model_class(cls, config: ModelConfig) -> str:
        """The name of the class that opens a model of that ``config.json`` for the task: a name in
        transformers, or ``module:Class``. By default the one of the task's ``kind``.

        Called without torch too: it imports nothing heavy. Raises CompressError for a kind without
        a class."""
        return auto_class_of(cls.kind)

    @classmethod
    def stated_labels(cls, config: ModelConfig) -> tuple[str, ...]:
        """Label names in order that a model's ``config.json`` states for a head of this task: by
        default those of ``id2label`` where ``model_class`` is a classifier's, else none."""
        return labels_of_outputs(config) if states_labels(cls.model_class(config)) else ()

    def head_config(self, labels: Sequence[str]) -> ModelConfig:
        """Entries of the model's config that the head needs: label maps,
        ``problem_type``."""
        if not labels:
            return {}
        numbers = {name: number for number, name in enumerate(labels)}
        return {"id2label": dict(enumerate(labels)), "label2id": numbers}

    def head_mistake(self, config: ModelConfig, labels: Sequence[str]) -> str | None:
        """Why a head for this task does not fit these options, as in "has 1 output, and
        ..."; None if it fits.

        ``config`` is the model's ``config.json``. ``labels`` are those of the data if the
        model names none itself, else empty. By default every head fits."""
        return None

    def limit(self, config: ModelConfig) -> str | None:
        """What of the task's options does not fit a model of that ``config.json``; None if all
        fits. By default the options know."""
        return self.options.limit(config)

    def loss(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor | None:
        """The task's loss of a forward pass, a scalar: a mean over what the batch asks. ``outputs``
        are the model's own, ``batch`` is what ``collate`` made, as tensors.

        By default the loss that the model computed; None if it has none. It is called in training
        only, where torch is imported."""
        loss: Tensor | None = getattr(outputs, "loss", None)
        return loss

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

    def gathered(self, columns: Columns) -> Columns:
        """What examples are made from: by default each of some normalised rows, which were counted
        before. A task may join neighbours, such as short texts."""
        return columns

    def count_labels(self, columns: Columns, labels: Sequence[str]) -> Mapping[str, int]:
        """How often each label occurs in normalised columns, by its name, for the summary of the
        data. By default none is counted."""
        return {}

    # examples: in training, measuring and serving alike

    def processor(self, folder: str | Path) -> Any:
        """The ``processor_class``, loaded from a model folder."""
        return self.processor_class.load(folder)

    def processor_mistake(self, processor: Any) -> str | None:
        """What the task's head needs and the model's processor does not give, as in "its head
        reads the end token, and ..."; None, the default, if nothing is missing."""
        return None

    def save_processor(self, processor: Any, folder: Path) -> None:
        """Write the processor of a model that was trained for this task. A tokenizer's files then
        say how many tokens were kept."""
        if isinstance(self.options, TextTaskOptions) and isinstance(processor, TextProcessor):
            processor.save(folder, self.options.max_length)
        else:
            processor.save(folder)

    def generation(self, folder: Path) -> Mapping[str, Any]:
        """Entries for the ``generation_config.json`` of a model folder that a stage wrote for this
        task: how answers are generated where quality is measured. transformers then generates the
        same by itself. Empty, the default, for a task whose answers are not generated.

        ``compress.generation.settings_of`` makes them of limits."""
        return {}

    @abstractmethod
    def features(self, rows: Sequence[Row], processor: Any) -> list[Features]:
        """One dict for each row, in order: ``input_ids`` and the like as lists, and ``labels`` if
        the row has them. Deterministic: random choices, such as masks, belong to ``collate``.

        A row may have several parts, such as the windows of a long text. Then each dict has
        ``row``, the index of its row in ``rows``; every row has one at least. ``join`` makes one
        answer of them."""

    def length(self, features: Features) -> int:
        """The length by which batches are made; by default in tokens."""
        return len(features["input_ids"])

    def group(self, features: Features) -> int:
        """A number that examples of one batch have in common; by default that of all. Some heads
        cannot take some examples together."""
        return 0

    @abstractmethod
    def collate(
        self,
        features: Sequence[Features],
        processor: Any,
        generator: np.random.Generator | None = None,
    ) -> Batch:
        """Arrays [batch, ...] padded to the longest: for tokens int64, with ``attention_mask``, and
        with ``labels`` if the features have them. What the model's forward pass does not read is
        for the loss alone.

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

    def with_answer(self, row: Row, prediction: Prediction) -> Row:
        """``row``, which may have no target, with an answer as its target, of which a student
        learns. A generated answer may be empty: then the target is its end alone.

        By default it raises CompressError."""
        raise CompressError(
            f"task {self.name}: its rows take no answer as their target (its plugin defines no "
            "Task.with_answer): leave sequences, on_policy and unlabelled out"
        )

    def variation(self, rows: Iterable[Row], labels: Sequence[str]) -> Variation:
        """What makes new training rows of given ones without making a target untrue; ``rows`` are
        those of the training split, of which it may take parts.

        By default it raises CompressError: the task knows no way."""
        raise CompressError(
            f"task {self.name}: its rows cannot be varied (its plugin defines no Task.variation): "
            "leave augment out"
        )

    # answers

    def prompts(self, features: Sequence[Features], processor: Any) -> Batch | None:
        """What a model is asked: the arrays [batch, ...] for ``session.generate``, of the
        ``features`` of some examples and never of their references. None, the default, for a task
        whose answers are not generated.

        Speed, memory and changed answers are measured with them; ``answer`` asks with them too."""
        return None

    @classmethod
    def generates(cls) -> bool:
        """Whether answers of the task may be generated: whether it says what a model is asked."""
        return cls.prompts is not Task.prompts

    def limits(self) -> Limits:
        """How answers are generated where quality and speed are measured: by the task's options. By
        default greedily, and at most 64 tokens."""
        return Limits()

    def counted(self, batch: Mapping[str, Tensor]) -> int:
        """The number of things over which the loss of a batch is a mean: by default its labels
        without ``IGNORED`` ones; its examples, if the labels are no indices or there are none.

        Several processes that share a batch weigh their losses by it. ``batch`` is what
        ``collate`` made, as tensors."""
        labels = batch.get("labels")
        if labels is None or labels.is_floating_point():
            return len(next(iter(batch.values())))
        return int((labels != IGNORED).sum())

    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Features]
    ) -> list[Prediction]:
        """One JSON-ready answer for each example of the batch, in order. ``outputs`` are
        the model's, by name. A task that defines ``answer`` may do without it."""
        raise CompressError(f"task {self.name}: it defines neither predictions nor answer")

    def answer(
        self,
        session: Session,
        features: Sequence[Features],
        processor: Any,
        limits: Any = None,
        on_text: Callable[[str], None] | None = None,
    ) -> list[Prediction]:
        """One answer for each of the ``features`` of a batch, in order. By default one run of the
        model, and ``predictions``.

        Whatever answers goes through it: measuring, validation in training, serving. ``limits`` is
        what a user asked of the answer, one of ``RequestOptions``; None where quality is measured.
        With ``on_text``, the batch is one request, whose answer is told piece by piece. Both are
        given to a task with ``RequestOptions`` alone."""
        return self.predictions(session.run(self.collate(features, processor)), features)

    def join(self, parts: Sequence[Prediction], row: Row) -> Prediction:
        """The answer to a row, from those of its parts in their order; by default of the only one.

        A task whose ``features`` cut a row into several parts overrides it."""
        if len(parts) > 1:
            raise CompressError(f"task {self.name}: a row has {len(parts)} parts: define join")
        return parts[0]

    @abstractmethod
    def score(
        self,
        predictions: Sequence[Prediction],
        rows: Sequence[Row],
        labels: Sequence[str],
        processor: Any,
    ) -> Quality:
        """Quality of the predictions, one for each row, against the references in ``rows``, in the
        same order."""

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
    def request(self, requests: Sequence[Request]) -> list[Row]:
        """Rows without references for what a user asks: a text, a tuple of texts, or a mapping of
        columns. ``compress.request.texts_of`` reads requests of texts. Raises UsageError."""

    def samples(self) -> list[Row]:
        """Some rows without references, of different lengths, the longest last. A graph is traced
        and checked with them where there are no data. By default requests of a text each."""
        return self.request(SAMPLE_TEXTS)

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
