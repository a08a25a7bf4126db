"""Headline metrics as functions of counts that add up over examples. A bootstrap then sums
counts instead of scoring every resample.

Each function works on the last axis and keeps the others: it accepts one sum [k], and the
sums of all resamples [resamples, k]. Its order of operations is that of the library that
scores (scikit-learn, seqeval). In another order float64 rounds differently, and the score
of all examples must be equal to the value that the bootstrap resamples.
"""

from __future__ import annotations

import numpy as np

_NOISE = 1e-12
"""A variance below this share of the mean square is rounding noise of its own computation
in float64 (relative precision 2e-16, times some thousand examples), not spread."""


def ratio(counts: np.ndarray) -> np.ndarray:
    """Accuracy from (correct, total) [..., 2] -> [...]; 0 where the total is 0."""
    return _divide(counts[..., 0], counts[..., 1])


def f1_of_labels(counts: np.ndarray) -> np.ndarray:
    """F1 from (true positives, false positives, false negatives) [..., 3] -> [...]; 0 where
    all three are 0.

    2 tp / (2 tp + fp + fn), as scikit-learn's ``f1_score`` computes it."""
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    return _divide(2.0 * tp, (tp + fn) + (tp + fp))


def f1_of_entities(counts: np.ndarray) -> np.ndarray:
    """F1 from (true positives, false positives, false negatives) [..., 3] -> [...]; 0 where
    nothing is right.

    The harmonic mean of precision and recall, as seqeval computes it."""
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    precision, recall = _divide(tp, tp + fp), _divide(tp, tp + fn)
    return _divide(2.0 * precision * recall, precision + recall)


def moments(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Per-example (1, x, y, xx, yy, xy) float64 [n, 6], from whose sums a correlation
    follows; x and y are centred.

    Centring changes no correlation. Without it, numbers far from 0 (years, prices) would
    have squares that agree in most digits, and their difference would lose them."""
    x, y = _centred(predicted), _centred(reference)
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1)


def pearson(sums: np.ndarray) -> np.ndarray:
    """Pearson's correlation from summed ``moments`` [..., 6] -> [...], in [-1, 1].

    0 where either side is constant: the correlation is undefined there, and such a model
    predicts nothing."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    var_x, var_y = xx - x * x / n, yy - y * y / n
    # n times the variances. A resample may hold one example many times and be constant
    # although the split is not.
    spread = (var_x > _NOISE * xx) & (var_y > _NOISE * yy)
    scale = np.sqrt(np.where(spread, var_x * var_y, 1.0))
    return np.where(spread, np.clip((xy - x * y / n) / scale, -1.0, 1.0), 0.0)


def _centred(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values - values.mean() if np.ptp(values) else np.zeros_like(values)


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotients, 0 where the denominator is 0."""
    above, below = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    quotient: np.ndarray = np.divide(above, below, out=np.zeros_like(above), where=below != 0)
    return quotient
