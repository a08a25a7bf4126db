"""How probable a model finds the tokens of a text: sums for each example, and scores of many.

Perplexity is exp(nll / tokens); it depends on the tokenizer. Bits per byte are nll / (ln 2 bytes),
with the bytes of the text in UTF-8, so that models of different tokenizers compare (Gao et al.
2020, The Pile, section 3.1, arXiv:2101.00027).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from compress.decoding import log_softmax
from compress.task import IGNORED, Features, Prediction

_AT_ONCE = 64
"""Tokens whose probabilities over the vocabulary are in memory, in float64."""
_LOGIT_BYTES = 256 << 20
"""Bytes of the logits of one call: a vocabulary of 50,000 tokens makes 200 MB of 1,024 tokens."""
_LARGEST = 700.0
"""exp of more is no float64."""


def calls(features: Sequence[Features], vocabulary: int) -> Iterator[Sequence[Features]]:
    """The features in calls whose logits take a bounded memory; one at least is in each."""
    longest = max(len(one["input_ids"]) for one in features)
    size = max(1, _LOGIT_BYTES // (4 * longest * vocabulary))
    for start in range(0, len(features), size):
        yield features[start : start + size]


def of_next(logits: np.ndarray, labels: Sequence[int]) -> Prediction:
    """As ``of_labels``, where the logits at a token predict the next one."""
    return of_labels(logits, np.array(labels[1:], dtype=np.int64))


def of_labels(logits: np.ndarray, wanted: np.ndarray) -> Prediction:
    """``nll``, in nats, of the tokens that are ``wanted``, int64 [n], and their ``count``.
    ``logits`` [length, vocabulary] predict them in their order, and may go on behind them."""
    places = np.flatnonzero(wanted != IGNORED)
    nll = 0.0
    for start in range(0, len(places), _AT_ONCE):
        some = places[start : start + _AT_ONCE]
        given = log_softmax(logits[some].astype(np.float64))
        nll -= float(given[np.arange(len(some)), wanted[some]].sum())
    return {"nll": nll, "count": len(places)}


def have_next(labels: Any) -> Any:
    """Which tokens have a label as their next one: bool, of the shape of the tensor ``labels``
    [batch, length]. Logits that are taken by it need not be cut, which would copy them."""
    known = (labels != IGNORED).roll(-1, 1)
    known[:, -1] = False
    return known


def counts(predictions: Sequence[Prediction]) -> np.ndarray:
    """(nll, count) of each example, float64 [n, 2]."""
    rows = [[one["nll"], one["count"]] for one in predictions]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def perplexity(sums: np.ndarray) -> np.ndarray:
    """The perplexity [...] of summed counts [..., 2]."""
    mean = sums[..., 0] / np.maximum(sums[..., 1], 1)
    return np.asarray(np.exp(np.minimum(mean, _LARGEST)))


def scores(predictions: Sequence[Prediction]) -> dict[str, float]:
    """``perplexity`` over all tokens, and their mean ``loss`` in nats."""
    sums = counts(predictions).sum(axis=0)
    return {
        "perplexity": float(perplexity(sums)),
        "loss": float(sums[0] / max(sums[1], 1)),
    }


def bits_per_byte(predictions: Sequence[Prediction]) -> float:
    """The bits for each byte of the texts; each prediction has the ``bytes`` of its own."""
    nll = sum(one["nll"] for one in predictions)
    size = sum(one["bytes"] for one in predictions)
    return float(nll / (math.log(2) * max(size, 1)))
