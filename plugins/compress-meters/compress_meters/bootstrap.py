"""The percentile bootstrap (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter
13)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compress.measurement import Direction

RESAMPLES = 2000
LEVELS = (2.5, 97.5)
"""Percentiles of the resamples between which 95 % of them lie."""

Interval = tuple[float, float]


def resampled(
    counts: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], seed: int
) -> np.ndarray:
    """``statistic`` of the summed counts [..., k] -> [...] of each resample, float64 [RESAMPLES];
    examples [n, k] are drawn with replacement.

    The draws depend on ``seed`` and the number of examples alone: the i-th values of two artifacts
    are of the same examples, and their differences are a paired bootstrap."""
    generator = np.random.default_rng(seed)
    total = len(counts)
    # How often each example is drawn, one resample at a time: all 2,000 at once take 16 GB for a
    # million examples.
    sums = [
        np.bincount(generator.integers(total, size=total), minlength=total) @ counts
        for _ in range(RESAMPLES)
    ]
    return np.asarray(statistic(np.stack(sums)), dtype=np.float64)


def varies(values: np.ndarray) -> bool:
    """Whether a resample differs from another."""
    return bool(np.ptp(values) > 0)


def interval(values: np.ndarray, examples: int, right: float = 1.0) -> Interval:
    """Ends of the middle 95 % of resampled ``values`` [resamples] of so many ``examples``. Where
    none differs from another, what unseen examples could change instead (``unseen``); ``right`` is
    what a value would be if all of them were right."""
    if not varies(values):
        change = right * unseen(examples, 0.975)
        return float(values[0]) - change, float(values[0]) + change
    low, high = np.percentile(values, LEVELS)
    return float(low), float(high)


def worst(values: np.ndarray, direction: Direction, examples: int, right: float = 1.0) -> float:
    """The one-sided 95 % end on the bad side of resampled ``values`` [resamples], likewise."""
    if not varies(values):
        return float(values[0]) + right * unseen(examples, 0.95) * (
            1 if direction == "lower" else -1
        )
    return float(np.percentile(values, 95.0 if direction == "lower" else 5.0))


def unseen(examples: int, level: float) -> float:
    """The share of examples that may be otherwise where none of so many was, at a one-sided
    confidence ``level``: the exact bound of a binomial of which nothing was counted (Clopper and
    Pearson 1934, The Use of Confidence or Fiducial Limits; about 3 / n at 95 %). A share of right
    examples differs by at most as much, and F1 by about as much; of other scores (a correlation, a
    loss) it is no more than a convention."""
    return float(1.0 - (1.0 - level) ** (1.0 / examples))


def p_of_zero(differences: np.ndarray, differing: int) -> float:
    """Two-sided p-value of resampled ``differences`` [resamples] for there being none: twice the
    share of the resamples on the rarer side of 0, the observed one counted among them (Davison and
    Hinkley 1997, Bootstrap Methods and their Application, section 4.2; for test sets: Koehn 2004,
    Statistical Significance Tests for Machine Translation Evaluation, section 4).

    Not below what the exact test of signs can reach with so many ``differing`` examples, 2 / 2^n:
    resamples of few examples lie on one side of 0 all too easily."""
    rarer = min((differences <= 0).sum(), (differences >= 0).sum())
    return max(
        min(1.0, 2.0 * (int(rarer) + 1) / (len(differences) + 1)), min(1.0, 2.0 * 0.5**differing)
    )
