"""The probability that a model gives its answer."""

from __future__ import annotations

import numpy as np

DIGITS = 5
"""Decimal places of a probability in an answer: finer than any bin of a calibration, short in
JSON."""


def likeliest(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the best of ``logits`` [..., k], int64 [...], and its softmax probability, float64
    [...], rounded."""
    best = logits.max(axis=-1, keepdims=True)
    # The best logit becomes exp(0) = 1, so that its share is one over the sum.
    shares = 1.0 / np.exp(logits - best, dtype=np.float64).sum(axis=-1)
    return logits.argmax(axis=-1), shares.round(DIGITS)
