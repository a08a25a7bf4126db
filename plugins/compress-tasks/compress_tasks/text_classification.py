"""``text-classification``: a label, several labels or a number for a text or a pair of
texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from pydantic import Field

from compress.architecture import ModelConfig
from compress.distillable import Distillable
from compress.errors import CompressError
from compress.heads import DEFAULT_OUTPUTS
from compress.padding import model_inputs, pad
from compress.processor import TextProcessor
from compress.request import Request, texts_of
from compress.rows import Columns, length_of
from compress.task import (
    Batch,
    CardInfo,
    Column,
    Decision,
    Features,
    Prediction,
    Quality,
    Row,
    Shown,
    Task,
    TextTaskOptions,
)
from compress_tasks.cells import read_text, read_texts
from compress_tasks.targets import TARGETS

_NO_PADDING = (
    "its head finds the last token of a text by the padding token, and its tokenizer names neither "
    "that nor an end-of-text token: set pad_token in tokenizer_config.json"
)


class TextClassificationOptions(TextTaskOptions):
    """Options of ``text-classification``."""

    kind: Literal["single", "multi", "regression"] = Field(
        default="single",
        description=(
            "What the label column holds: `single`, one label; `multi`, a list of labels or text "
            "with semicolons between them; `regression`, a number."
        ),
    )


class TextClassification(Task[TextClassificationOptions]):
    """A label for one text or a pair. The headline depends on ``kind``: accuracy, micro F1
    or Pearson's correlation."""

    name = "text-classification"
    summary = "A label, several labels or a number for a text or a pair of texts."
    synonyms = ("sentiment-analysis",)
    kind = "text-classification"
    bundled = "compress_tasks.bundled.texts"
    columns = (
        Column("text", "The text to classify."),
        Column("text_pair", "The second text, where a pair is classified.", required=False),
        Column(
            "label",
            "The label's name or index; several of them or a number, according to `kind`.",
            is_target=True,
        ),
    )
    headline = "accuracy"
    directions = {
        "f1_macro": "higher",
        "precision_macro": "higher",
        "recall_macro": "higher",
        "matthews_correlation": "higher",
        "exact_match": "higher",
        "spearman": "higher",
        "mean_absolute_error": "lower",
        "root_mean_squared_error": "lower",
    }
    Options = TextClassificationOptions
    card = CardInfo(
        reading=(
            "# logits: [1, labels], before softmax\n"
            "print({labels.get(i, i): float(score) for i, score in enumerate(logits[0])})\n"
        ),
    )

    def __init__(self, options: TextClassificationOptions) -> None:
        super().__init__(options)
        self.target = TARGETS[options.kind]()
        self.headline = self.target.headline

    def labels(
        self, splits: Mapping[str, Iterable[Columns]], declared: Sequence[str] | None
    ) -> list[str]:
        """Label names as declared, else those of the training split, sorted (numbers by
        value); none for a regression.

        A label that only validation or test has is not among them, and its row is
        refused."""
        cells = {split: map(_label_cells, chunks) for split, chunks in splits.items()}
        return self.target.labels(cells, declared)

    def normalise(self, columns: Columns, labels: Sequence[str]) -> Columns:
        """``text``, ``text_pair`` (None where there is none) and ``label``. Raises
        RowError.

        The label is an index, a 0 or 1 for each label, or a float, according to
        ``kind``."""
        texts = read_texts(columns, "text")
        return {
            "text": texts,
            "text_pair": _pairs(columns, len(texts)),
            "label": self.target.read(_label_cells(columns), labels),
        }

    def count_labels(self, columns: Columns, labels: Sequence[str]) -> Mapping[str, int]:
        """The label, the labels whose bit is 1, or none for a regression."""
        return self.target.counted(columns["label"], labels)

    def head_config(self, labels: Sequence[str]) -> ModelConfig:
        """Label maps (one output for a regression) and the ``problem_type`` that selects
        the model's loss."""
        return {
            **(super().head_config(labels) or {"num_labels": 1}),
            "problem_type": self.target.problem_type,
        }

    @classmethod
    def stated_labels(cls, config: ModelConfig) -> tuple[str, ...]:
        """The names of ``id2label``; none for a regression. A single output is a
        regression, for transformers too."""
        names = super().stated_labels(config)
        return () if len(names) == 1 or config.get("problem_type") == "regression" else names

    def head_mistake(self, config: ModelConfig, labels: Sequence[str]) -> str | None:
        """Another ``problem_type`` than that of ``kind``, or a number of outputs that does
        not fit it: a regression has one, labels have several. Without a ``problem_type``
        two outputs fit both one label of two and any of two."""
        kind, wanted = self.options.kind, self.target.problem_type
        learnt = config.get("problem_type")
        if learnt is not None and learnt != wanted:
            return f"was trained for {learnt}, and kind: {kind} takes {wanted}"
        outputs = len(config.get("id2label") or ()) or config.get("num_labels", DEFAULT_OUTPUTS)
        if kind == "regression":
            fits, needed = outputs == 1, "1"
        else:
            fits = outputs >= 2 and (not labels or outputs == len(labels))
            needed = str(len(labels)) if labels else "2 or more"
        if fits:
            return None
        counted = f"{outputs} output" if outputs == 1 else f"{outputs} outputs"
        return f"has {counted}, and kind: {kind} takes {needed}"

    def processor_mistake(self, processor: TextProcessor) -> str | None:
        """No token where the head reads a text: no end token that the tokenizer adds, or no token
        to pad with."""
        end = processor.read_at.end_token
        if processor.read_at.last_token and processor.named_pad_id is None:
            return _NO_PADDING
        if end is None:
            return None
        if processor.pad_id == end:
            return f"its head reads the end token, and texts are padded with the same id, {end}"
        (encoding,) = processor.encode(["a"], max_length=self.options.max_length)
        if end in encoding.ids:
            return None
        return f"its head reads the end token (id {end}), and its tokenizer adds none to a text"

    def features(self, rows: Sequence[Row], processor: TextProcessor) -> list[Features]:
        """``input_ids`` with special tokens, ``token_type_ids`` where the model has that
        input, ``labels`` and ``id``. Where the head reads the end token, ``ends`` is the number
        of end tokens: one that the tokenizer adds, and those that a text itself holds."""
        texts = [_texts(row) for row in rows]
        encodings = processor.encode(texts, max_length=self.options.max_length)
        examples = []
        for row, encoding in zip(rows, encodings, strict=True):
            features = model_inputs(row, encoding, processor)
            if processor.read_at.end_token is not None:
                features["ends"] = encoding.ids.count(processor.read_at.end_token)
            if "label" in row:
                features["labels"] = row["label"]
            examples.append(features)
        return examples

    def group(self, features: Features) -> int:
        """The number of end tokens, where the head reads them: it takes no batch of texts that
        hold different numbers. 0 for other heads."""
        return int(features.get("ends", 0))

    def collate(
        self,
        features: Sequence[Features],
        processor: TextProcessor,
        generator: np.random.Generator | None = None,
    ) -> Batch:
        """Padded arrays, on the left where the head reads the last position. ``labels`` are
        int64 [batch] for one label, float32 [batch, labels] for several, float32 [batch] for a
        number."""
        if len({self.group(f) for f in features}) > 1:
            raise CompressError("texts with different numbers of end tokens are in one batch")
        batch = pad(features, processor, left=processor.read_at.last_position)
        if all("labels" in f for f in features):
            batch["labels"] = np.array([f["labels"] for f in features], dtype=self.target.dtype)
        return batch

    def distillable(
        self, outputs: Mapping[str, Any], batch: Mapping[str, Any]
    ) -> list[Distillable]:
        """The logits: by ``kind``, one of the labels is right, each of them is or is not, or they
        are a number."""
        logits = super().distillable(outputs, batch)
        return [replace(part, divergence=self.target.divergence) for part in logits]

    def with_answer(self, row: Row, prediction: Prediction) -> Row:
        """``row`` with the answer as its label, as ``normalise`` gives it."""
        return {**row, "label": self.target.answered(prediction)}

    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Features]
    ) -> list[Prediction]:
        """By ``kind``: ``label`` and its ``score``; ``labels``, their ``scores`` and the
        ``probabilities`` of all; or ``value``."""
        return self.target.predictions(outputs["logits"])

    def score(
        self,
        predictions: Sequence[Prediction],
        rows: Sequence[Row],
        labels: Sequence[str],
        processor: TextProcessor,
    ) -> Quality:
        """By ``kind``: accuracy, macro scores and Matthews' correlation; F1 and exact
        match; or correlations and errors."""
        return self.target.score(predictions, [row["label"] for row in rows], labels)

    def resample(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> np.ndarray:
        """By ``kind``: (correct, 1); (true positives, false positives, false negatives); or
        ``statistics.moments``."""
        return self.target.counts(predictions, [row["label"] for row in rows], labels)

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        """Accuracy, micro F1 or Pearson's correlation for summed counts [..., k] ->
        [...]."""
        return self.target.headline_of(counts)

    def most_frequent(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> list[Prediction]:
        """By ``kind``: the most frequent label; the labels that more than half of the rows
        have, or else the most frequent one; or the mean."""
        return self.target.most_frequent([row["label"] for row in rows])

    def decisions(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> list[Decision]:
        """By ``kind``: the label; a 0 or 1 for each label; none for a number."""
        return self.target.decisions(prediction, row["label"], labels)

    def request(self, requests: Sequence[Request]) -> list[Row]:
        """A row for each text or pair; a tab in a text separates the two of a pair."""
        return list(texts_of(requests, ("text", "text_pair")))

    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> Shown:
        """The row's texts and, by ``kind``, the label with its probability, each label with
        its own, or the number."""
        texts = {key: row[key] for key in ("text", "text_pair") if row.get(key) is not None}
        return {**texts, **self.target.present(prediction, labels)}


def _label_cells(columns: Columns) -> Sequence[Any]:
    return columns.get("label") or [None] * length_of(columns)


def _pairs(columns: Columns, count: int) -> list[str | None]:
    """The second texts; None where there is none."""
    cells = columns.get("text_pair") or [None] * count
    if None not in cells:
        return [*read_texts(columns, "text_pair")]
    return [None if cell is None else read_text(cell, "text_pair") for cell in cells]


def _texts(row: Row) -> Any:
    """What the tokenizer encodes: the text, or the pair."""
    return row["text"] if row.get("text_pair") is None else (row["text"], row["text_pair"])
