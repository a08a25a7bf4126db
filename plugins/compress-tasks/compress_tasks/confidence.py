"""The probability that a model gives its answer."""

from __future__ import annotations

import numpy as np

DIGITS = 5
"""Decimal places of a probability in an answer: finer than the bins of a calibration, and
short in JSON."""


def likeliest(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the largest of ``logits`` [..., k], int64 [...], and its softmax
    probability, float64 [...], rounded."""
    best = logits.max(axis=-1, keepdims=True)
    # Less the largest, no exponential overflows, and the largest is exp(0) = 1: its share
    # is 1 over the sum.
    shares = 1.0 / np.exp(logits - best, dtype=np.float64).sum(axis=-1)
    return logits.argmax(axis=-1), shares.round(DIGITS)
