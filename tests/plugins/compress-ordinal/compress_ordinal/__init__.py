"""The task ``ordinal``: the level of a text, such as its stars. Its models have a head of their
own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from compress import hookimpl
from compress.architecture import ModelConfig
from compress.distillable import Distillable
from compress.errors import UsageError
from compress.heads import labels_of_outputs
from compress.padding import model_inputs, pad
from compress.processor import TextProcessor
from compress.request import Request, texts_of
from compress.rows import Columns
from compress.task import (
    Batch,
    Column,
    Decision,
    Features,
    Prediction,
    Quality,
    Row,
    RowError,
    Shown,
    Task,
    TextTaskOptions,
    by_row,
)

HEADS = {"bert": "compress_ordinal.model:BertForOrdinal"}
"""The class of each family that has such a head."""


class Ordinal(Task[TextTaskOptions]):
    """One of several levels, of which each is above the one before it."""

    name = "ordinal"
    summary = "The level of a text, where levels have an order."
    columns = (
        Column("text", "A text."),
        Column("level", "Its level, a number.", is_target=True),
    )
    headline = "mean_absolute_error"
    higher_is_better = False
    Options = TextTaskOptions

    @classmethod
    def model_class(cls, config: ModelConfig) -> str:
        """The class of the model's family. Raises UsageError for other families."""
        if config["model_type"] not in HEADS:
            raise UsageError(f"ordinal has no head for {config['model_type']}: take {list(HEADS)}")
        return HEADS[config["model_type"]]

    @classmethod
    def stated_labels(cls, config: ModelConfig) -> tuple[str, ...]:
        """The levels."""
        return labels_of_outputs(config)

    def labels(self, splits: Any, declared: Sequence[str] | None) -> list[str]:
        """The levels of the training rows, in order."""
        levels = {str(cell) for columns in splits["train"] for cell in columns["level"]}
        return list(declared or sorted(levels, key=float))

    def normalise(self, columns: Columns, labels: Sequence[str]) -> Columns:
        """``text``, and ``level`` as the place of the level."""

        def checked(row: Row) -> Row:
            if str(row["level"]) not in labels:
                raise RowError(f"there is no level {row['level']!r:.60}")
            return {"text": row["text"], "level": labels.index(str(row["level"]))}

        return by_row(checked, columns)

    def features(self, rows: Sequence[Row], processor: TextProcessor) -> list[Features]:
        """The ids of each text, and ``labels`` where its level is known."""
        texts = [row["text"] for row in rows]
        encodings = processor.encode(texts, max_length=self.options.max_length)
        made = []
        for row, encoding in zip(rows, encodings, strict=True):
            known = {"labels": row["level"]} if "level" in row else {}
            made.append({**model_inputs(row, encoding, processor), **known})
        return made

    def collate(
        self, features: Sequence[Features], processor: TextProcessor, generator: Any = None
    ) -> Batch:
        """int64 [batch, length], and the levels int64 [batch] where they are known."""
        batch = pad(features, processor)
        if all("labels" in one for one in features):
            batch["labels"] = np.array([one["labels"] for one in features], dtype=np.int64)
        return batch

    def distillable(self, outputs: Any, batch: Any) -> list[Distillable]:
        """For each level but the first, whether the text is at least there."""
        return [replace(one, divergence="binary") for one in super().distillable(outputs, batch)]

    def predictions(self, outputs: Any, batch: Sequence[Features]) -> list[Prediction]:
        """The ``level`` that a text reaches."""
        return [{"level": int((logits > 0).sum())} for logits in outputs["logits"]]

    def score(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Any, processor: Any
    ) -> Quality:
        """``mean_absolute_error``, in levels."""
        return Quality({self.headline: float(self.resample(predictions, rows, labels).mean(0)[0])})

    def resample(self, predictions: Any, rows: Any, labels: Any) -> np.ndarray:
        """(error, 1) of each example, float64 [n, 2]."""
        pairs = zip(predictions, rows, strict=True)
        return np.array([[abs(p["level"] - row["level"]), 1.0] for p, row in pairs])

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        """The mean of summed counts [..., 2]."""
        return np.asarray(counts[..., 0] / counts[..., 1])

    def decisions(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> list[Decision]:
        """The level."""
        level = prediction["level"]
        return [Decision(level, level == row["level"], labels[row["level"]])]

    def request(self, requests: Sequence[Request]) -> list[Row]:
        """Texts."""
        return list(texts_of(requests, ("text",)))

    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> Shown:
        """The text and its level."""
        return {"text": row["text"], "level": labels[prediction["level"]]}


@hookimpl
def compress_tasks() -> list[type[Task[Any]]]:
    """The task ``ordinal``."""
    return [Ordinal]
