"""A label, several labels or a number for a text or a pair of texts, from the logits of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

EXAMPLES: Sequence[Any] = (
    "Please tell me where my order is.",
    "I am very happy with it, thank you!",
    "No.",
    "Ünïcödé, 東京 and 🙂 are text, too.",
    "This text is longer than most models allow. " * 40,
    ("A man plays a guitar.", "Somebody makes music."),
)
"""Requests that a bundle records the answers to."""


class Answering:
    """The task of a bundle. ``options`` are the task's, ``labels`` the names in the order of the
    logits."""

    columns = ("text", "text_pair")
    needed = 1

    def __init__(self, options: Mapping[str, Any], labels: Sequence[str]) -> None:
        self.kind, self.max_length, self.labels = options["kind"], options["max_length"], labels

    def read(self, row: Mapping[str, Any], reader: Any) -> tuple[Mapping[str, Any], list[Any]]:
        """The row, and the encoding of its text or pair."""
        pair = row["text_pair"]
        text = row["text"] if pair is None else (row["text"], pair)
        return row, [reader.text(text, self.max_length)]

    def answer(
        self,
        row: Mapping[str, Any],
        parts: Sequence[Any],
        outputs: Sequence[Mapping[str, np.ndarray]],
    ) -> dict[str, Any]:
        """The texts and the answer with label names."""
        (prediction,) = PREDICTIONS[self.kind](outputs[0]["logits"][None])
        texts = {name: row[name] for name in self.columns if row[name] is not None}
        return {**texts, **SHOWN[self.kind](prediction, self.labels)}


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities that sum to 1 over the last axis, float64."""
    # Less the largest logit, no exponential overflows.
    shares: np.ndarray = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float64)
    shares /= shares.sum(axis=-1, keepdims=True)
    return shares


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """A probability for each logit, float64."""
    # In float64 exp stays finite up to 709; in float32 it would overflow at 89.
    return 1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float64), -500, 500)))


def single(logits: np.ndarray) -> list[dict[str, Any]]:
    """``label``, the index of the largest of ``logits`` [batch, labels], and its ``score``, the
    softmax probability."""
    return [{"label": int(row.argmax()), "score": float(row.max())} for row in softmax(logits)]


def multi(logits: np.ndarray) -> list[dict[str, Any]]:
    """``labels``, the indices of those with a probability above 0.5, and their ``scores``."""
    chosen = [np.flatnonzero(row > 0).tolist() for row in logits]
    pairs = zip(chosen, sigmoid(logits), strict=True)
    return [{"labels": some, "scores": row[some].tolist()} for some, row in pairs]


def number(logits: np.ndarray) -> list[dict[str, Any]]:
    """``value``, the only logit."""
    return [{"value": float(row[0])} for row in logits]


def shown_single(prediction: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    """The label by its name."""
    return {"label": labels[prediction["label"]], "score": prediction["score"]}


def shown_multi(prediction: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    """The labels by their names, each with its score."""
    pairs = zip(prediction["labels"], prediction["scores"], strict=True)
    return {"labels": [{"label": labels[i], "score": score} for i, score in pairs]}


def shown_number(prediction: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    """The number."""
    return {"value": prediction["value"]}


PREDICTIONS: Mapping[str, Callable[[np.ndarray], list[dict[str, Any]]]] = {
    "single": single,
    "multi": multi,
    "regression": number,
}
SHOWN: Mapping[str, Callable[[Mapping[str, Any], Sequence[str]], dict[str, Any]]] = {
    "single": shown_single,
    "multi": shown_multi,
    "regression": shown_number,
}
