"""Queries with their candidates: read, padded, compared and scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from compress.errors import UsageError
from compress.padding import model_inputs, pad
from compress.processor import TextProcessor
from compress.request import Request
from compress.task import Batch, Features, Row, RowError, Shown

if TYPE_CHECKING:
    from torch import Tensor

CUT = 10
"""Candidates that count in the score."""


def asked_of(row: Row, processor: TextProcessor, max_length: int) -> Features:
    """``candidates``, the features of a query with each of them, and what is known of the row."""
    pairs = [(row["query"], text) for text in row["candidates"]]
    encodings = processor.encode(pairs, max_length=max_length)
    known = {name: row[name] for name in ("id", "relevance") if name in row}
    return {"candidates": [model_inputs({}, one, processor) for one in encodings], **known}


def padded_queries(features: Sequence[Features], processor: TextProcessor) -> Batch:
    """The arrays of ``Ranking.collate``."""
    pairs = list(chain.from_iterable(f["candidates"] for f in features))
    batch = pad(pairs, processor)
    counts = [len(f["candidates"]) for f in features]
    batch["query"] = np.repeat(np.arange(len(features)), counts)
    if all("relevance" in f for f in features):
        relevance = list(chain.from_iterable(f["relevance"] for f in features))
        batch["relevance"] = np.array(relevance, dtype=np.float32)
    return batch


def listwise(scores: Tensor, relevance: Tensor, query: Tensor) -> Tensor:
    """The mean over queries of the cross-entropy of two distributions over its candidates: that of
    their ``relevance`` and the softmax of their ``scores``. All are [pairs]. It is the loss of
    ListNet (Cao et al. 2007, section 4)."""
    losses = []
    for number in query.unique():
        own = query == number
        wanted = relevance[own] / relevance[own].sum()
        losses.append(-(wanted * scores[own].log_softmax(0)).sum())
    total: Tensor = sum(losses[1:], losses[0])
    return total / len(losses)


def by_query(scores: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
    """The scores [pairs] as [queries, most candidates], and which of these there are."""
    counts = query.bincount()
    held = query.new_tensor(range(int(counts.max()))) < counts[:, None]
    return scores.new_zeros(held.shape).masked_scatter(held, scores), held


def ndcg(scores: Sequence[float], relevance: Sequence[float]) -> float:
    """The discounted gain of the ten best scores, as a share of the best order's."""
    gains = np.asarray(relevance, dtype=np.float64)
    discounts = 1 / np.log2(np.arange(2, 2 + min(CUT, len(gains))))
    own = gains[np.argsort(-np.asarray(scores), kind="stable")][:CUT]
    best = np.sort(gains)[::-1][:CUT]
    return float((own * discounts).sum() / (best * discounts).sum())


def checked(row: Row) -> Row:
    query, texts, relevance = row.get("query"), row.get("candidates"), row.get("relevance")
    if not isinstance(query, str) or not isinstance(texts, list) or not texts:
        raise RowError("a query and a list of candidates are needed")
    if not isinstance(relevance, list) or len(relevance) != len(texts):
        raise RowError("relevance is a list of a number for each candidate")
    if min(relevance) < 0 or max(relevance) <= 0:
        raise RowError("no candidate is relevant")
    return {"query": query, "candidates": texts, "relevance": [float(r) for r in relevance]}


def asked(request: Request) -> Row:
    parts = tuple(request.split("\t")) if isinstance(request, str) else request
    if isinstance(parts, Mapping):
        parts = (parts.get("query", ""), *parts.get("candidates", ()))
    query, *candidates = parts
    if not query.strip() or not candidates:
        raise UsageError("a request of ranking is a query and one candidate at least")
    return {"query": query, "candidates": candidates}


def ranked(candidates: Sequence[str], scores: Sequence[float]) -> list[Shown]:
    """The candidates with their scores, the best first."""
    pairs = sorted(zip(candidates, scores, strict=True), key=lambda pair: -pair[1])
    return [{"text": text, "score": score} for text, score in pairs]
