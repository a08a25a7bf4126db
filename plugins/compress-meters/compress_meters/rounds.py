"""Statistics of timings that were taken in rounds, [rounds, calls]; the calls of every round are
the same.

A call is represented by its median over the rounds, which one disturbed call or round does not
move. Rounds come in blocks, before each of which the artifacts were loaded anew: blocks are drawn
with replacement, then rounds within them, those of two artifacts together, because what else the
machine did met both (Kalibera and Jones 2013, Rigorous Benchmarking in Reasonable Time, section 6).
Few blocks make percentile intervals too narrow: they are expanded as Hesterberg does (2015, What
Teachers Should Know About the Bootstrap, section 5.1), by sqrt(n / (n - 1)) and the quantiles of
Student's t; on the logarithm's scale, for times and their ratios are above 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000
_TOGETHER = 50
"""Resamples computed at once, so that memory stays small."""

_STUDENT = (
    12.706,
    4.303,
    3.182,
    2.776,
    2.571,
    2.447,
    2.365,
    2.306,
    2.262,
    2.228,
    2.201,
    2.179,
    2.160,
    2.145,
    2.131,
    2.120,
    2.110,
    2.101,
    2.093,
    2.086,
)
"""0.975 quantiles of Student's t with 1 to 20 degrees of freedom; beyond, the normal one is near enough."""

_STUDENT_ONE_SIDED = (
    6.314,
    2.920,
    2.353,
    2.132,
    2.015,
    1.943,
    1.895,
    1.860,
    1.833,
    1.812,
    1.796,
    1.782,
    1.771,
    1.761,
    1.753,
    1.746,
    1.740,
    1.734,
    1.729,
    1.725,
)
"""The 0.95 quantiles likewise, for the ends of one-sided intervals."""

_NORMAL, _NORMAL_ONE_SIDED = 1.960, 1.645


@dataclass(frozen=True)
class Spread:
    """A value with its 95 % interval, and the ends of the one-sided ones: 5 % lie below ``lowest``
    and above ``highest``."""

    value: float
    low: float
    high: float
    lowest: float
    highest: float

    @property
    def half_width(self) -> float:
        """Half the interval as a share of the value."""
        return (self.high - self.low) / 2 / self.value


@dataclass(frozen=True)
class Timings:
    """Nanoseconds [rounds, calls], and the block of each round [rounds]."""

    times: np.ndarray
    blocks: np.ndarray

    def of_calls(self, which: np.ndarray) -> Timings:
        """Some of the calls."""
        return Timings(self.times[:, which], self.blocks)


def quantile(timings: Timings, level: float, seed: int = 0) -> Spread:
    """The quantile at ``level`` (0 to 1) of all timings; rounds and calls are both drawn, for other
    examples would have had other lengths. Its ends lie within what was drawn: a few rounds tell of
    no tail longer than theirs."""
    times, generator = (
        timings.times,
        np.random.default_rng((seed, 1)),
    )  # rounds are drawn with the seed alone
    calls = times.shape[1]
    drawn = (
        times[pick][:, generator.integers(calls, size=calls)]
        for pick in _picks(timings.blocks, seed)
    )
    found = np.array([np.quantile(t, level) for t in drawn])
    spread = _spread(float(np.quantile(times, level)), found, timings.blocks)
    ends = np.clip(
        (spread.low, spread.high, spread.lowest, spread.highest), found.min(), found.max()
    )
    return Spread(spread.value, *ends.tolist())


def quantile_ratio(numerator: Timings, denominator: Timings, level: float, seed: int = 0) -> Spread:
    """The quantile at ``level`` of all timings over that of another artifact, round i beside round
    i. The calls of both are the same ones and are not drawn: what a call's length does to the one
    it does to the other."""
    one, other = numerator.times, denominator.times
    value = np.quantile(one, level) / np.quantile(other, level)
    drawn = _resampled(
        lambda picks: _quantiles(one, picks, level) / _quantiles(other, picks, level),
        numerator.blocks,
        seed,
    )
    return _spread(float(value), drawn, numerator.blocks)


def total(timings: Timings, seed: int = 0) -> Spread:
    """The sum of the calls' medians."""
    resampled = _resampled(lambda picks: _sums(timings.times, picks), timings.blocks, seed)
    return _spread(float(np.median(timings.times, axis=0).sum()), resampled, timings.blocks)


def per_second(seconds: Spread, count: float) -> Spread:
    """``count`` things in a second, from the spread of the seconds that they took."""
    return Spread(
        *(
            count / s
            for s in (seconds.value, seconds.high, seconds.low, seconds.highest, seconds.lowest)
        )
    )


def ratio(numerator: Timings, denominator: Timings, seed: int = 0) -> Spread:
    """The time of all calls over that of another artifact. Each call has its own ratio, the median
    over the rounds, round i beside round i, and weighs as much as it takes the other: a machine
    that is slower for some seconds is so for both.

    Where the two have not the same calls, a round's calls are taken together."""
    one, other = numerator.times, denominator.times
    if one.shape != other.shape:
        one, other = one.sum(axis=1, keepdims=True), other.sum(axis=1, keepdims=True)
    quotients = one / other
    value = float(_weighed(quotients[None], other[None])[0])
    resampled = _resampled(
        lambda picks: _weighed(quotients[picks], other[picks]), numerator.blocks, seed
    )
    return _spread(value, resampled, numerator.blocks)


def _weighed(quotients: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Means of the calls' median ratios, weighed by their median times: [resamples, rounds, calls]
    to [resamples]."""
    weights = np.median(times, axis=1)
    means: np.ndarray = (weights * np.median(quotients, axis=1)).sum(axis=1) / weights.sum(axis=1)
    return means


def _quantiles(times: np.ndarray, picks: np.ndarray, level: float) -> np.ndarray:
    """Quantiles of all timings of the picked rounds: [resamples, rounds] to [resamples]."""
    found: np.ndarray = np.quantile(times[picks].reshape(len(picks), -1), level, axis=1)
    return found


def _sums(times: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """Sums of the calls' medians over the picked rounds: [resamples, rounds] to [resamples]."""
    sums: np.ndarray = np.median(times[picks], axis=1).sum(axis=1)
    return sums


def _resampled(
    statistic: Callable[[np.ndarray], np.ndarray], blocks: np.ndarray, seed: int
) -> np.ndarray:
    picks = _picks(blocks, seed)
    return np.concatenate(
        [statistic(picks[i : i + _TOGETHER]) for i in range(0, RESAMPLES, _TOGETHER)]
    )


def _picks(blocks: np.ndarray, seed: int) -> np.ndarray:
    """Rounds of each resample [resamples, rounds]: blocks drawn, then rounds within them. Where the
    last block is shorter than the others, what is drawn is cut to the number of rounds."""
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(blocks == block) for block in np.unique(blocks)]
    count, longest = len(members), max(map(len, members))
    filled = np.stack([np.resize(m, longest) for m in members])
    drawn = generator.integers(count, size=(RESAMPLES, count))
    within = generator.integers(longest, size=(RESAMPLES, count, longest))
    picks: np.ndarray = filled[drawn[:, :, None], within].reshape(RESAMPLES, -1)[:, : len(blocks)]
    return picks


def _spread(value: float, resampled: np.ndarray, blocks: np.ndarray) -> Spread:
    low, lowest, highest, high = np.percentile(resampled, [2.5, 5, 95, 97.5])
    units = len(np.unique(blocks))
    units = units if units > 1 else len(blocks)
    both, one = (
        _expansion(units, _STUDENT, _NORMAL),
        _expansion(units, _STUDENT_ONE_SIDED, _NORMAL_ONE_SIDED),
    )
    ends = ((low, both), (high, both), (lowest, one), (highest, one))
    return Spread(value, *(value * (float(end) / value) ** wider for end, wider in ends))


def _expansion(units: int, student: Sequence[float], normal: float) -> float:
    """How much wider an interval is than its percentiles, by the number of what was drawn: blocks,
    or the rounds of one."""
    if units < 2:
        return 1.0
    quantile = student[units - 2] if units - 2 < len(student) else normal
    return math.sqrt(units / (units - 1)) * quantile / normal
