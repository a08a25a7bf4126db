"""The task ``ranking``. All candidates of a query are in one batch: the loss compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from compress import hookimpl
from compress.architecture import ModelConfig
from compress.distillable import Distillable
from compress.processor import TextProcessor
from compress.request import Request
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
from compress_ranking import queries

if TYPE_CHECKING:
    from torch import Tensor


class Ranking(Task[TextTaskOptions]):
    """One score for a query and a candidate, learnt with the loss of ``queries.listwise``."""

    name = "ranking"
    summary = "The candidates of a query in the order of their relevance."
    kind = "text-ranking"
    columns = (
        Column("query", "The query."),
        Column("candidates", "The texts to rank, a list."),
        Column("relevance", "A number from 0 on for each candidate, a list.", is_target=True),
    )
    headline = "ndcg_at_10"
    Options = TextTaskOptions

    @classmethod
    def model_class(cls, config: ModelConfig) -> str:
        """A classifier of texts, with one output."""
        return "AutoModelForSequenceClassification"

    @classmethod
    def stated_labels(cls, config: ModelConfig) -> tuple[str, ...]:
        """None: the output is a score."""
        return ()

    def head_config(self, labels: Sequence[str]) -> ModelConfig:
        """One output."""
        return {"num_labels": 1}

    def labels(self, splits: Any, declared: Sequence[str] | None) -> list[str]:
        """None."""
        return []

    def normalise(self, columns: Columns, labels: Sequence[str]) -> Columns:
        """The columns, if each query has a candidate that is relevant."""
        return by_row(queries.checked, columns)

    def features(self, rows: Sequence[Row], processor: TextProcessor) -> list[Features]:
        """``candidates``: the features of the query with each of them."""
        return [queries.asked_of(row, processor, self.options.max_length) for row in rows]

    def length(self, features: Features) -> int:
        """The tokens of all pairs."""
        return sum(len(pair["input_ids"]) for pair in features["candidates"])

    def collate(
        self, features: Sequence[Features], processor: TextProcessor, generator: Any = None
    ) -> Batch:
        """int64 [pairs, length], the number of each pair's ``query``, float32 ``relevance``."""
        return queries.padded_queries(features, processor)

    def loss(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean over queries; the model itself reads neither queries nor relevance."""
        return queries.listwise(outputs.logits[:, 0].float(), batch["relevance"], batch["query"])

    def counted(self, batch: Mapping[str, Tensor]) -> int:
        """The queries."""
        return len(batch["query"].unique())

    def distillable(
        self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]
    ) -> list[Distillable]:
        """The scores of a query's candidates, as a distribution over them."""
        return [Distillable(*queries.by_query(outputs["logits"][:, 0], batch["query"]))]

    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Features]
    ) -> list[Prediction]:
        """``scores`` of each query's candidates."""
        ends = np.cumsum([len(f["candidates"]) for f in batch])
        return [{"scores": s.tolist()} for s in np.split(outputs["logits"][:, 0], ends[:-1])]

    def score(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Any, processor: Any
    ) -> Quality:
        """The mean ``ndcg_at_10`` (Järvelin and Kekäläinen 2002)."""
        return Quality({"ndcg_at_10": float(self.resample(predictions, rows, labels)[:, 0].mean())})

    def resample(self, predictions: Any, rows: Any, labels: Any) -> np.ndarray:
        """(NDCG, 1) of each query, float64 [n, 2]."""
        pairs = zip(predictions, rows, strict=True)
        return np.array([[queries.ndcg(p["scores"], row["relevance"]), 1.0] for p, row in pairs])

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        """The mean of summed counts [..., 2]."""
        return np.asarray(counts[..., 0] / counts[..., 1])

    def decisions(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> list[Decision]:
        """Which candidate is first, right if none is more relevant."""
        best, relevance = int(np.argmax(prediction["scores"])), row["relevance"]
        return [Decision(best, relevance[best] == max(relevance), "first")]

    def request(self, requests: Sequence[Request]) -> list[Row]:
        """A query and its candidates: a tuple, a text with tabs between them, or a mapping."""
        return [queries.asked(request) for request in requests]

    def samples(self) -> list[Row]:
        """Queries with candidates of different lengths."""
        return [{"query": "what ?", "candidates": ["one ", "two " * n]} for n in (1, 3, 4, 60)]

    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> Shown:
        """The candidates with their scores, the best first."""
        order = queries.ranked(row["candidates"], prediction["scores"])
        return {"query": row["query"], "ranked": order}


@hookimpl
def compress_tasks() -> Sequence[type[Task[Any]]]:
    """The task of this plugin."""
    return [Ranking]
