"""``evaluate.Metric`` classes over scikit-learn, scipy and seqeval. Only ``score`` imports
this module: the import needs a second or more.

A new metric is an entry in the dict that a class's ``_compute`` returns; a task says in its
``directions`` which way the metric points. evaluate's own metrics are never loaded by name:
that would run a script from the working directory or the hub.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from datasets import Features, Value
from datasets import Sequence as ListOf
from scipy.stats import spearmanr
from seqeval.metrics import accuracy_score as tag_accuracy
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    matthews_corrcoef,
    mean_absolute_error,
    precision_recall_fscore_support,
    root_mean_squared_error,
)

from compress.errors import UsageError
from compress.scoring import PER_CLASS, evaluate
from compress_tasks import statistics

Scores = dict[str, Any]
"""What evaluate wants from ``_compute``: a number for each metric, and under ``per_class``
a table by class."""


class SingleLabelMetric(evaluate.Metric):
    """For indices of labels: accuracy, macro averages, Matthews' correlation, and the table
    by label."""

    def _info(self) -> evaluate.MetricInfo:
        return _described(self, Value("int64"))

    def _compute(
        self, predictions: Sequence[int], references: Sequence[int], labels: Sequence[str]
    ) -> Scores:
        precision, recall, f1, _ = precision_recall_fscore_support(
            references, predictions, average="macro", zero_division=0
        )
        table = precision_recall_fscore_support(
            references, predictions, labels=range(len(labels)), zero_division=0
        )
        # Undefined where only one label occurs; scikit-learn gives 0 too, with a warning.
        several = len({*references, *predictions}) > 1
        matthews = matthews_corrcoef(references, predictions) if several else 0.0
        return {
            "accuracy": accuracy_score(references, predictions),
            "f1_macro": f1,
            "precision_macro": precision,
            "recall_macro": recall,
            "matthews_correlation": matthews,
            PER_CLASS: _by_label(labels, table),
        }


class MultiLabelMetric(evaluate.Metric):
    """For a 0 or 1 of each label: micro and macro F1, the share of examples with every label
    right, and the table by label."""

    def _info(self) -> evaluate.MetricInfo:
        return _described(self, ListOf(Value("int64")))

    def _compute(
        self,
        predictions: Sequence[Sequence[int]],
        references: Sequence[Sequence[int]],
        labels: Sequence[str],
    ) -> Scores:
        guess, truth = np.asarray(predictions), np.asarray(references)
        table = precision_recall_fscore_support(truth, guess, average=None, zero_division=0)
        return {
            "f1_micro": f1_score(truth, guess, average="micro", zero_division=0),
            "f1_macro": f1_score(truth, guess, average="macro", zero_division=0),
            "exact_match": accuracy_score(truth, guess),
            PER_CLASS: _by_label(labels, table),
        }


class RegressionMetric(evaluate.Metric):
    """For numbers: Pearson's and Spearman's correlations (0 where a side is constant), mean
    absolute and root mean squared error in the label's unit."""

    def _info(self) -> evaluate.MetricInfo:
        return _described(self, Value("float64"))

    def _compute(self, predictions: Sequence[float], references: Sequence[float]) -> Scores:
        guess, truth = np.asarray(predictions), np.asarray(references)
        constant = not np.ptp(guess) or not np.ptp(truth)
        return {
            "pearson": statistics.pearson(statistics.moments(guess, truth).sum(axis=0)),
            "spearman": 0.0 if constant else spearmanr(guess, truth).statistic,
            "mean_absolute_error": mean_absolute_error(truth, guess),
            "root_mean_squared_error": root_mean_squared_error(truth, guess),
        }


class EntityMetric(evaluate.Metric):
    """For IOB2 tags by name: seqeval's strict mode, in which an entity is right where its
    type and both ends are."""

    def _info(self) -> evaluate.MetricInfo:
        return _described(self, ListOf(Value("string")))

    def _compute(self, predictions: Sequence[list[str]], references: Sequence[list[str]]) -> Scores:
        guess, truth = list(predictions), list(references)
        accuracy = tag_accuracy(truth, guess)
        if not any(map(_has_entity, (*guess, *truth))):
            # seqeval would warn, because its macro average over no types is nan.
            return {"f1": 0.0, "precision": 0.0, "recall": 0.0, "accuracy": accuracy}
        report = classification_report(
            truth, guess, mode="strict", scheme=IOB2, output_dict=True, zero_division=0
        )
        total = _plain(report.pop("micro avg"))
        types = {kind: _plain(row) for kind, row in report.items() if not kind.endswith(" avg")}
        return {
            "f1": total["f1"],
            "precision": total["precision"],
            "recall": total["recall"],
            "accuracy": accuracy,
            PER_CLASS: types,
        }


class MaskedTokenMetric(evaluate.Metric):
    """For (correct, masked, summed negative log-likelihood) of each example: accuracy, loss
    and perplexity of a masked token."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=type(self).__doc__ or "",
            citation="",
            features=Features({"predictions": ListOf(Value("float64"))}),
        )

    def _compute(self, predictions: Sequence[Sequence[float]]) -> Scores:
        correct, masked, nll = np.asarray(predictions, dtype=np.float64).sum(axis=0)
        if masked == 0:
            raise UsageError("no text has a token that can be masked")
        loss = nll / masked
        return {"accuracy": correct / masked, "loss": loss, "perplexity": math.exp(loss)}


def _has_entity(tags: Sequence[str]) -> bool:
    return any(tag.startswith("B-") for tag in tags)


def _described(metric: evaluate.Metric, kind: Any) -> evaluate.MetricInfo:
    return evaluate.MetricInfo(
        description=type(metric).__doc__ or "",
        citation="",
        features=Features({"predictions": kind, "references": kind}),
    )


def _by_label(labels: Sequence[str], table: Sequence[Any]) -> dict[str, dict[str, float]]:
    """scikit-learn's four arrays [labels] by label name."""
    precision, recall, f1, support = table
    rows = {}
    for i, name in enumerate(labels):
        rows[name] = {
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "support": float(support[i]),
        }
    return rows


def _plain(row: Mapping[str, Any]) -> dict[str, float]:
    """A line of seqeval's report, with our names."""
    return {
        "precision": float(row["precision"]),
        "recall": float(row["recall"]),
        "f1": float(row["f1-score"]),
        "support": float(row["support"]),
    }
