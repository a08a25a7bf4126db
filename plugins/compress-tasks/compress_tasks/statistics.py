"""Headline metrics as functions of counts that sum over examples, so that a bootstrap need not
score every resample."""

from __future__ import annotations

import numpy as np

# A variance below this share of the mean square is rounding noise of its own computation (float64),
# not spread.
_NOISE = 1e-12


def ratio(counts: np.ndarray) -> np.ndarray:
    """Accuracy from (correct, total) [..., 2] -> [...]; 0 where the total is 0."""
    return _divide(counts[..., 0], counts[..., 1])


def f1_of_labels(counts: np.ndarray) -> np.ndarray:
    """F1 from (true positives, false positives, false negatives) [..., 3] -> [...]; 0 where there
    are none at all.

    2 tp / (2 tp + fp + fn), the order of operations of scikit-learn's ``f1_score``, so that both
    round alike."""
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    return _divide(2.0 * tp, (tp + fn) + (tp + fp))


def f1_of_entities(counts: np.ndarray) -> np.ndarray:
    """F1 from (true positives, false positives, false negatives) [..., 3] -> [...]; 0 where nothing
    is right.

    The harmonic mean of precision and recall, the order of operations of seqeval, so that both
    round alike."""
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    precision, recall = _divide(tp, tp + fp), _divide(tp, tp + fn)
    return _divide(2.0 * precision * recall, precision + recall)


def moments(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Per-example (1, x, y, xx, yy, xy) [n, 6] in float64, x and y centred: a correlation follows
    from their sums.

    Centring changes no correlation and keeps the digits that differences of large squares would
    lose."""
    x, y = _centred(predicted), _centred(reference)
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1)


def pearson(sums: np.ndarray) -> np.ndarray:
    """Pearson's correlation from summed ``moments`` [..., 6] -> [...], in [-1, 1].

    0 where either side is constant: the correlation is undefined, and the model tells nothing."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    var_x, var_y = xx - x * x / n, yy - y * y / n
    spread = (var_x > _NOISE * xx) & (var_y > _NOISE * yy)
    scale = np.sqrt(np.where(spread, var_x * var_y, 1.0))
    return np.where(spread, np.clip((xy - x * y / n) / scale, -1.0, 1.0), 0.0)


def _centred(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values - values.mean() if np.ptp(values) else np.zeros_like(values)


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    numerator, denominator = (
        np.asarray(numerator, dtype=np.float64),
        np.asarray(denominator, dtype=np.float64),
    )
    quotient: np.ndarray = np.divide(
        numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0
    )
    return quotient
