"""Percentile bootstrap intervals (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13): arrays in,
(low, high) out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

RESAMPLES = 2000
LEVELS = (2.5, 97.5)
"""Percentiles of the resamples between which 95 % of them lie."""

Interval = tuple[float, float]


def of_counts(counts: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], seed: int) -> Interval:
    """Interval of ``statistic`` of the summed counts [..., k] -> [...], examples [n, k] drawn with replacement."""
    generator = np.random.default_rng(seed)
    total = len(counts)
    # How often each example is drawn, one resample at a time: all 2,000 at once take 16 GB for a million examples.
    sums = [np.bincount(generator.integers(total, size=total), minlength=total) @ counts for _ in range(RESAMPLES)]
    return _interval(statistic(np.stack(sums)))


def of_rounds_and_examples(times: np.ndarray, statistic: Callable[[np.ndarray], Any], seed: int = 0) -> Interval:
    """Interval of ``statistic`` of times [rounds, examples], both drawn with replacement: rounds carry what the machine
    did at that moment, examples their length."""
    generator = np.random.default_rng(seed)
    rounds, examples = times.shape
    drawn = (times[generator.integers(rounds, size=rounds)][:, generator.integers(examples, size=examples)]
             for _ in range(RESAMPLES))
    return _interval(np.array([statistic(t) for t in drawn]))


def of_median(values: np.ndarray, seed: int = 0) -> Interval:
    """Interval of the median of ``values`` [n], drawn with replacement."""
    places = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    return _interval(np.median(values[places], axis=1))


def _interval(resampled: np.ndarray) -> Interval:
    low, high = np.percentile(resampled, LEVELS)
    return float(low), float(high)
