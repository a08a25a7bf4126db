"""The ``evaluate.Metric`` of answers to questions. Only ``score`` imports this module."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from datasets import Features, Value
from datasets import Sequence as ListOf

from compress.scoring import evaluate
from compress_tasks import statistics
from compress_tasks.squad import scores_of


class AnswerMetric(evaluate.Metric):
    """For texts and the right answers of each, none where there is no answer: F1 of words and exact
    match by the rules of SQuAD. With ``apart`` also of the questions that have an answer and of
    those that have none, as its version 2 reports them."""

    def _info(self) -> evaluate.MetricInfo:
        texts = {"predictions": Value("string"), "references": ListOf(Value("string"))}
        return evaluate.MetricInfo(
            description=type(self).__doc__ or "", citation="", features=Features(texts)
        )

    def _compute(
        self, predictions: Sequence[str], references: Sequence[Sequence[str]], apart: bool
    ) -> dict[str, float]:
        scores = scores_of(predictions, references)
        found = _means(scores)
        if not apart:
            return found
        answered = np.array([bool(known) for known in references])
        if answered.any():
            own = _means(scores[answered])
            found |= {f"answered_{name}": value for name, value in own.items()}
        if not answered.all():
            found["no_answer_accuracy"] = _means(scores[~answered])["exact_match"]
        return found


def _means(scores: np.ndarray) -> dict[str, float]:
    """The means of (F1, exact match, 1) [n, 3]."""
    sums = scores.sum(axis=0)
    return {
        "f1": float(statistics.ratio(sums[[0, 2]])),
        "exact_match": float(statistics.ratio(sums[[1, 2]])),
    }
