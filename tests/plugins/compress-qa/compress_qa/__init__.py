"""The task ``toy-question-answering``: the span of a context that answers a question. A long
context is read in windows that overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from compress import hookimpl
from compress.distillable import Distillable
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
    Shown,
    Task,
    TextTaskOptions,
    by_row,
)
from compress_qa.spans import best_span, exact, overlap, padded_windows, spanned, window_of

if TYPE_CHECKING:
    from torch import Tensor


class QuestionOptions(TextTaskOptions):
    """Options of ``toy-question-answering``."""

    stride: int = Field(default=8, ge=0, description="Tokens that two windows share.")
    longest: int = Field(default=30, ge=1, description="Tokens of the longest answer.")


class QuestionAnswering(Task[QuestionOptions]):
    """Where the answer begins and ends, scored by the words that it shares with the right one."""

    name = "toy-question-answering"
    summary = "The span of a context that answers a question."
    synonyms = ("toy-qa",)
    kind = "question-answering"
    columns = (
        Column("question", "The question."),
        Column("context", "The text that holds its answer."),
        Column("answer", "The answer, word for word.", is_target=True),
    )
    headline = "f1"
    directions = {"exact_match": "higher"}
    Options = QuestionOptions

    def labels(self, splits: Any, declared: Sequence[str] | None) -> list[str]:
        """None: an answer is a text."""
        return []

    def normalise(self, columns: Columns, labels: Sequence[str]) -> Columns:
        """The three texts, and ``start``, the first place of the answer in the context."""
        return by_row(spanned, columns)

    def features(self, rows: Sequence[Row], processor: TextProcessor) -> list[Features]:
        """The windows of each row. ``spans`` holds the (first, after) characters of each token of
        the context, and None for others."""
        pairs = [(row["question"], row["context"]) for row in rows]
        encodings = processor.encode(
            pairs, max_length=self.options.max_length, stride=self.options.stride
        )
        return [
            {**window_of(row, window, processor), "row": place}
            for place, (row, first) in enumerate(zip(rows, encodings, strict=True))
            for window in (first, *first.overflowing)
        ]

    def collate(
        self, features: Sequence[Features], processor: TextProcessor, generator: Any = None
    ) -> Batch:
        """int64 [batch, length], and the positions int64 [batch] where the answer is known; 0, the
        first token, in a window that does not hold it."""
        return padded_windows(features, processor)

    def distillable(
        self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]
    ) -> list[Distillable]:
        """Where the span begins and where it ends, each a choice of one token of the window."""
        real = batch["attention_mask"].bool()
        return [Distillable(outputs[name], real) for name in ("start_logits", "end_logits")]

    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Features]
    ) -> list[Prediction]:
        """``start`` and ``end`` in the context, and ``score``, the logits of the span less those of
        the first token, which stands for no answer."""
        logits = zip(outputs["start_logits"], outputs["end_logits"], strict=True)
        return [
            best_span(first, last, f["spans"], self.options.longest)
            for (first, last), f in zip(logits, batch, strict=True)
        ]

    def join(self, parts: Sequence[Prediction], row: Row) -> Prediction:
        """The best span of all windows, and its ``text``."""
        best = max(parts, key=lambda part: part["score"])
        return {**best, "text": row["context"][best["start"] : best["end"]]}

    def score(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Any, processor: Any
    ) -> Quality:
        """The means of ``f1``, the words that two answers share, and of ``exact_match``."""
        pairs = [(p["text"], row["answer"]) for p, row in zip(predictions, rows, strict=True)]
        found = {"f1": overlap, "exact_match": exact}
        return Quality({n: float(np.mean([of(*p) for p in pairs])) for n, of in found.items()})

    def resample(self, predictions: Any, rows: Any, labels: Any) -> np.ndarray:
        """(f1, 1) of each example, float64 [n, 2]."""
        pairs = zip(predictions, rows, strict=True)
        return np.array([[overlap(p["text"], row["answer"]), 1.0] for p, row in pairs])

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        """The mean of summed counts [..., 2]."""
        return np.asarray(counts[..., 0] / counts[..., 1])

    def decisions(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> list[Decision]:
        """The answer, right if it is exact."""
        return [Decision(prediction["text"], exact(prediction["text"], row["answer"]), "answer")]

    def request(self, requests: Sequence[Request]) -> list[Row]:
        """A question and its context; a tab stands between them in one text."""
        return list(texts_of(requests, ("question", "context"), 2))

    def samples(self) -> list[Row]:
        """Questions to contexts of different lengths."""
        return self.request([("who ?", "one two three " * n) for n in (1, 2, 3, 60)])

    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> Shown:
        """The question and its answer."""
        return {"question": row["question"], "answer": prediction["text"]}


@hookimpl
def compress_tasks() -> Sequence[type[Task[Any]]]:
    """The task of this plugin."""
    return [QuestionAnswering]
