"""BLEU, chrF and ROUGE as functions of counts that add up over examples. A bootstrap then sums
counts instead of scoring every resample.

Each function works on the last axis and keeps the others, and gives what the library that counts
gives for the same sums: sacrebleu from 0 to 100, rouge-score from 0 to 1. Tests compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

_LONGEST = 4
"""The longest n-gram of words that BLEU counts."""
_BETA = 2
"""How many times recall weighs as much as precision in chrF."""


def bleu(counts: np.ndarray) -> np.ndarray:
    """BLEU from (length of the answers, of the references, shared n-grams of 1 to 4 words, those of
    the answers) [..., 10] -> [...].

    Papineni et al. 2002, section 2.3. Where no n-gram of a length is shared, half of the precision
    before stands for it, as in mteval (smoothing ``exp`` of sacrebleu)."""
    answers, references = counts[..., 0], counts[..., 1]
    shared, own = counts[..., 2 : 2 + _LONGEST], counts[..., 2 + _LONGEST :]
    halvings = np.cumsum(shared == 0, axis=-1)
    smoothed = np.where(shared > 0, shared, 0.5**halvings)
    logs = np.log(np.where(own > 0, smoothed / np.maximum(own, 1), 1.0))
    brevity = np.minimum(0.0, 1 - references / np.maximum(answers, 1))
    score = 100 * np.exp(brevity + logs.mean(axis=-1))
    # A length without a single n-gram has a precision of 0, and so has the whole.
    nothing = (shared == 0).all(axis=-1) | (own == 0).any(axis=-1)
    return np.asarray(np.where(nothing, 0.0, score))


def chrf(counts: np.ndarray) -> np.ndarray:
    """chrF2 from (n-grams of the answers, of the references, shared ones) of 1 to 6 characters
    [..., 18] -> [...].

    Popović 2015, section 2: the F-score of the mean precision and the mean recall, over the lengths
    that both sides have."""
    by_length = counts.reshape(*counts.shape[:-1], -1, 3)
    own, wanted, shared = (by_length[..., i] for i in range(3))
    both = (own > 0) & (wanted > 0)
    lengths = np.maximum(both.sum(axis=-1), 1)
    precision = np.where(both, shared / np.maximum(own, 1), 0).sum(axis=-1) / lengths
    recall = np.where(both, shared / np.maximum(wanted, 1), 0).sum(axis=-1) / lengths
    weighed = _BETA**2 * precision + recall
    product = 100 * (1 + _BETA**2) * precision * recall
    return np.asarray(np.divide(product, weighed, out=np.zeros_like(product), where=weighed > 0))


def mean(counts: np.ndarray) -> np.ndarray:
    """The mean from (sum, number of examples) [..., 2] -> [...]."""
    return np.asarray(counts[..., 0] / np.maximum(counts[..., 1], 1))


OF_COUNTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "bleu": bleu,
    "chrf": chrf,
    "rougeL": mean,
}
"""The functions by metric."""
