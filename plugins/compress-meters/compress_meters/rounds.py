"""Statistics of timings that were taken in rounds, [rounds, calls]; the calls of every round are the same.

A call is represented by its median over the rounds, which one disturbed call or round does not move. Rounds are drawn with
replacement, those of two artifacts together, because what else the machine did met both (Kalibera and Jones 2013, Rigorous
Benchmarking in Reasonable Time, section 6, on the levels at which to resample).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000
_TOGETHER = 50
"""Resamples computed at once, so that memory stays small."""


@dataclass(frozen=True)
class Spread:
    """A value with its 95 % percentile interval, and the ends of the one-sided ones: 5 % lie below ``lowest``, 5 % above
    ``highest``."""

    value: float
    low: float
    high: float
    lowest: float
    highest: float

    @property
    def half_width(self) -> float:
        """Half the interval as a share of the value."""
        return (self.high - self.low) / 2 / self.value


def quantile(times: np.ndarray, level: float, seed: int = 0) -> Spread:
    """The quantile at ``level`` (0 to 1) of all timings; rounds and calls are both drawn, for other examples would have had
    other lengths."""
    rounds, calls = times.shape
    generator = np.random.default_rng(seed)
    drawn = (times[generator.integers(rounds, size=rounds)][:, generator.integers(calls, size=calls)]
             for _ in range(RESAMPLES))
    return _spread(float(np.quantile(times, level)), np.array([np.quantile(t, level) for t in drawn]))


def total(times: np.ndarray, seed: int = 0) -> Spread:
    """The sum of the calls' medians."""
    return _spread(float(np.median(times, axis=0).sum()), _resampled(lambda picks: _sums(times, picks), len(times), seed))


def per_second(seconds: Spread, count: float) -> Spread:
    """``count`` things in a second, from the spread of the seconds that they took."""
    return Spread(*(count / s for s in (seconds.value, seconds.high, seconds.low, seconds.highest, seconds.lowest)))


def ratio(numerators: np.ndarray, denominators: np.ndarray, seed: int = 0) -> Spread:
    """Sum of the calls' medians over that of another artifact, round i beside round i; the calls may differ in number."""
    value = np.median(numerators, axis=0).sum() / np.median(denominators, axis=0).sum()
    resampled = _resampled(lambda picks: _sums(numerators, picks) / _sums(denominators, picks), len(numerators), seed)
    return _spread(float(value), resampled)


def _sums(times: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """Sums of the calls' medians over the picked rounds: [resamples, rounds] to [resamples]."""
    sums: np.ndarray = np.median(times[picks], axis=1).sum(axis=1)
    return sums


def _resampled(statistic: Callable[[np.ndarray], np.ndarray], rounds: int, seed: int) -> np.ndarray:
    picks = np.random.default_rng(seed).integers(rounds, size=(RESAMPLES, rounds))
    return np.concatenate([statistic(picks[i:i + _TOGETHER]) for i in range(0, RESAMPLES, _TOGETHER)])


def _spread(value: float, resampled: np.ndarray) -> Spread:
    low, lowest, highest, high = np.percentile(resampled, [2.5, 5, 95, 97.5])
    return Spread(value, float(low), float(high), float(lowest), float(highest))
