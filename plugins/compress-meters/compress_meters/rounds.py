"""Statistics of timings in rounds: arrays [rounds, calls], with the same calls in each
round.

A call is represented by its median over the rounds. A mean would follow a single round in
which the machine was busy. A minimum would describe the luckiest round.

Intervals come from a hierarchical bootstrap. Rounds come in blocks, and all artifacts are
loaded anew before each block. The rounds of a block have much in common: the place of the
weights in memory, and what else the machine does in these seconds. So they are not
independent. Intervals from single rounds would be far too narrow. Therefore blocks are
drawn with replacement, then rounds within each block (Kalibera and Jones 2013, Rigorous
Benchmarking in Reasonable Time, section 6). Two artifacts that are compared share the
draw, round i beside round i: a disturbance of the machine met both.

With few blocks, percentile intervals are still too narrow: the variance of n resampled
blocks is (n - 1) / n of the true one, and percentiles ignore the heavy tails of Student's
t. Intervals are therefore widened by sqrt(n / (n - 1)), and by the quantile of t over that
of the normal distribution (Hesterberg 2015, What Teachers Should Know About the Bootstrap,
section 5.1). They are widened on a logarithmic scale. Times and their ratios are above 0,
and so an end cannot become negative. The interval of a / b is then also that of b / a,
turned over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000
_TOGETHER = 50
"""Resamples computed at once: 1,000 of 200 rounds of 64 calls would be 100 MB of copied
timings."""

# fmt: off
_STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)
"""0.975 quantiles of Student's t with 1 to 20 degrees of freedom. For more, the normal one
is near enough: t with 21 degrees of freedom has 2.080."""

_STUDENT_ONE_SIDED = (
    6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812,
    1.796, 1.782, 1.771, 1.761, 1.753, 1.746, 1.740, 1.734, 1.729, 1.725,
)
"""The 0.95 quantiles likewise, for the ends of one-sided intervals."""
# fmt: on

_NORMAL, _NORMAL_ONE_SIDED = 1.960, 1.645


@dataclass(frozen=True)
class Spread:
    """A value with its two-sided 95 % interval (``low``, ``high``), and the ends of the two
    one-sided 95 % intervals: above ``lowest``, and below ``highest``."""

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
    """``times``: nanoseconds, float64 [rounds, calls]. ``blocks``: the number of each
    round's block, int64 [rounds]."""

    times: np.ndarray
    blocks: np.ndarray

    def of_calls(self, which: np.ndarray) -> Timings:
        """The timings of some of the calls; ``which`` is an index or a mask [calls]."""
        return Timings(self.times[:, which], self.blocks)


def quantile(timings: Timings, level: float, seed: int = 0) -> Spread:
    """The quantile at ``level`` (0 to 1) of all timings.

    Rounds and calls are both drawn: other examples would have had other lengths. The ends
    are cut to the range of the resampled values. A few rounds say nothing about times that
    are longer than theirs, and widening alone would invent such times."""
    times = timings.times
    # Rounds are drawn with ``seed`` alone, the same ones for every statistic. Calls have
    # random numbers of their own, so that they do not follow the draw of the rounds.
    generator = np.random.default_rng((seed, 1))
    calls = times.shape[1]
    quantiles = []
    for pick in _picks(timings.blocks, seed):
        drawn = times[pick][:, generator.integers(calls, size=calls)]  # [rounds, calls]
        quantiles.append(np.quantile(drawn, level))
    resampled = np.array(quantiles)  # [RESAMPLES]
    spread = _spread(float(np.quantile(times, level)), resampled, timings.blocks)
    ends = np.clip(
        (spread.low, spread.high, spread.lowest, spread.highest), resampled.min(), resampled.max()
    )
    return Spread(spread.value, *ends.tolist())


def quantile_ratio(numerator: Timings, denominator: Timings, level: float, seed: int = 0) -> Spread:
    """The quantile at ``level`` of all timings over that of another artifact, round i
    beside round i.

    Only rounds are drawn. Both artifacts answer the same examples, so a draw of calls would
    change the lengths on both sides alike, and the ratio hardly.

    Both need equally many rounds in equal blocks, as they have when taken in turns."""
    one, other = numerator.times, denominator.times
    value = np.quantile(one, level) / np.quantile(other, level)
    resampled = _resampled(
        lambda picks: _quantiles(one, picks, level) / _quantiles(other, picks, level),
        numerator.blocks,
        seed,
    )
    return _spread(float(value), resampled, numerator.blocks)


def total(timings: Timings, seed: int = 0) -> Spread:
    """The sum over the calls of each one's median: the time of all calls when nothing
    disturbs them. Medians come before the sum: a median of the rounds' sums would hold the
    disturbed calls of every round."""
    resampled = _resampled(lambda picks: _sums(timings.times, picks), timings.blocks, seed)
    return _spread(float(np.median(timings.times, axis=0).sum()), resampled, timings.blocks)


def per_second(seconds: Spread, count: float) -> Spread:
    """How many in a second, from the spread of the time that ``count`` of them took. The
    ends swap: the longest time is the lowest rate."""
    return Spread(
        count / seconds.value,
        count / seconds.high,
        count / seconds.low,
        count / seconds.highest,
        count / seconds.lowest,
    )


def ratio(numerator: Timings, denominator: Timings, seed: int = 0) -> Spread:
    """The time of all calls over that of another artifact.

    Each call has a ratio of its own: its time over the other's time in the same round, and
    of these the median over the rounds. If the machine is slower for some seconds, both
    sides of a round are slower, and the ratio does not change. With medians of each side
    first, that would be lost.

    The result is the mean of the calls' ratios, weighed by the other side's times. So it is
    a ratio of total times, and a long call counts more than a short one. In a plain mean
    the many short texts would decide.

    If the two do not have the same number of calls, the calls of a round are summed
    first."""
    one, other = numerator.times, denominator.times
    if one.shape != other.shape:
        one, other = one.sum(axis=1, keepdims=True), other.sum(axis=1, keepdims=True)
    quotients = one / other  # [rounds, calls]
    value = float(_weighed(quotients[None], other[None])[0])
    resampled = _resampled(
        lambda picks: _weighed(quotients[picks], other[picks]), numerator.blocks, seed
    )
    return _spread(value, resampled, numerator.blocks)


def _weighed(quotients: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Means of the calls' median ratios, weighed by their median times. Both arguments are
    [resamples, rounds, calls]; the result is [resamples]."""
    weights = np.median(times, axis=1)  # [resamples, calls]
    means: np.ndarray = (weights * np.median(quotients, axis=1)).sum(axis=1) / weights.sum(axis=1)
    return means


def _quantiles(times: np.ndarray, picks: np.ndarray, level: float) -> np.ndarray:
    """Quantiles of all timings of the picked rounds: [resamples, rounds] to [resamples]."""
    drawn = times[picks].reshape(len(picks), -1)  # [resamples, rounds * calls]
    quantiles: np.ndarray = np.quantile(drawn, level, axis=1)
    return quantiles


def _sums(times: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """Sums of the calls' medians over the picked rounds: [resamples, rounds] to
    [resamples]."""
    # times[picks] is [resamples, rounds, calls].
    sums: np.ndarray = np.median(times[picks], axis=1).sum(axis=1)
    return sums


def _resampled(
    statistic: Callable[[np.ndarray], np.ndarray], blocks: np.ndarray, seed: int
) -> np.ndarray:
    """``statistic`` of each resample, [RESAMPLES]. It gets the rounds of some resamples
    [some, rounds] and gives [some] values."""
    picks = _picks(blocks, seed)
    parts = []
    for start in range(0, RESAMPLES, _TOGETHER):
        parts.append(statistic(picks[start : start + _TOGETHER]))
    return np.concatenate(parts)


def _picks(blocks: np.ndarray, seed: int) -> np.ndarray:
    """The rounds of each resample, [RESAMPLES, rounds]: blocks drawn with replacement, then
    rounds within them.

    They depend on ``blocks`` and ``seed`` alone, so two artifacts that were measured in
    turns get the same draws. With other draws on either side a ratio would no longer
    compare the same moments.

    All blocks have the same length, only the last may be shorter. Its rounds are repeated
    to fill the table, and each draw is cut to the number of rounds."""
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(blocks == block) for block in np.unique(blocks)]
    count, longest = len(members), max(map(len, members))
    filled = np.stack([np.resize(m, longest) for m in members])  # [count, longest] rounds
    drawn = generator.integers(count, size=(RESAMPLES, count))  # blocks
    within = generator.integers(longest, size=(RESAMPLES, count, longest))  # rounds in each
    picks: np.ndarray = filled[drawn[:, :, None], within].reshape(RESAMPLES, -1)[:, : len(blocks)]
    return picks


def _spread(value: float, resampled: np.ndarray, blocks: np.ndarray) -> Spread:
    """``value`` with the percentiles of ``resampled`` [RESAMPLES], widened for few
    blocks."""
    low, lowest, highest, high = np.percentile(resampled, [2.5, 5, 95, 97.5])
    # The number of independent draws: the blocks, or the rounds if there is only one block.
    units = len(np.unique(blocks))
    units = units if units > 1 else len(blocks)
    both = _expansion(units, _STUDENT, _NORMAL)
    one = _expansion(units, _STUDENT_ONE_SIDED, _NORMAL_ONE_SIDED)
    return Spread(
        value,
        _widened(value, low, both),
        _widened(value, high, both),
        _widened(value, lowest, one),
        _widened(value, highest, one),
    )


def _widened(value: float, end: float, factor: float) -> float:
    """``end`` moved to ``factor`` times its distance from ``value``, on a logarithmic
    scale: exp(log value + factor * (log end - log value))."""
    widened: float = value * (float(end) / value) ** factor
    return widened


def _expansion(units: int, student: Sequence[float], normal: float) -> float:
    """The factor that widens an interval of ``units`` independent draws. 1 for a single
    unit, from which no spread can be estimated.

    ``student`` are quantiles of Student's t by degrees of freedom from 1 on, ``normal`` is
    that of the normal distribution. n units have n - 1 degrees of freedom."""
    if units < 2:
        return 1.0
    quantile = student[units - 2] if units - 2 < len(student) else normal
    return math.sqrt(units / (units - 1)) * quantile / normal
