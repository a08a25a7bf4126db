"""Statistics of timings that were taken in rounds: arrays [rounds, calls], the same calls
each time.

A call is represented by its median over the rounds. A mean would follow a single round in
which the machine was busy; a minimum would describe the luckiest one.

Intervals come from a hierarchical bootstrap. Rounds come in blocks, and all artifacts are
loaded anew before each block. Where a load puts the weights, and what the machine does for
some seconds, is common to the rounds of a block, so these are not independent: drawn alone
they would give intervals that are far too narrow. So blocks are drawn with replacement,
then rounds within each (Kalibera and Jones 2013, Rigorous Benchmarking in Reasonable Time,
section 6). Two artifacts that are compared share the draw, round i beside round i, because
what else the machine did met both.

With few blocks, percentile intervals are too narrow even so: n resampled blocks vary by (n
- 1) / n of the true variance, and the percentiles know nothing of the heavy tails of
Student's t. Intervals are therefore widened by sqrt(n / (n - 1)) and by the quantile of t
over that of the normal distribution (Hesterberg 2015, What Teachers Should Know About the
Bootstrap, section 5.1). They are widened on the scale of the logarithm, for times and their
ratios are above 0: an end cannot become negative, and it makes no difference which side of
a ratio is the numerator.
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
    """A value with its two-sided 95 % interval (``low``, ``high``), and the ends of the
    one-sided 95 % intervals: 5 % lie below ``lowest``, 5 % above ``highest``."""

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
    """Nanoseconds [rounds, calls], and the number of each round's block [rounds]."""

    times: np.ndarray
    blocks: np.ndarray

    def of_calls(self, which: np.ndarray) -> Timings:
        """The timings of some of the calls; ``which`` is an index or a mask [calls]."""
        return Timings(self.times[:, which], self.blocks)


def quantile(timings: Timings, level: float, seed: int = 0) -> Spread:
    """The quantile at ``level`` (0 to 1) of all timings.

    Rounds and calls are both drawn: other examples would have had other lengths. The ends
    lie within the resampled values, because a few rounds say nothing about a tail that is
    longer than theirs; without that, widening would invent one."""
    times = timings.times
    # Rounds are drawn with ``seed`` alone, the same ones for every statistic; calls have a
    # stream of their own.
    generator = np.random.default_rng((seed, 1))
    calls = times.shape[1]
    found = []
    for pick in _picks(timings.blocks, seed):
        drawn = times[pick][:, generator.integers(calls, size=calls)]  # [rounds, calls]
        found.append(np.quantile(drawn, level))
    resampled = np.array(found)  # [RESAMPLES]
    spread = _spread(float(np.quantile(times, level)), resampled, timings.blocks)
    ends = np.clip(
        (spread.low, spread.high, spread.lowest, spread.highest), resampled.min(), resampled.max()
    )
    return Spread(spread.value, *ends.tolist())


def quantile_ratio(numerator: Timings, denominator: Timings, level: float, seed: int = 0) -> Spread:
    """The quantile at ``level`` of all timings over that of another artifact, round i
    beside round i.

    The calls of both are the same ones, so they are not drawn: what the length of a call
    does to one side it does to the other."""
    one, other = numerator.times, denominator.times
    value = np.quantile(one, level) / np.quantile(other, level)
    resampled = _resampled(
        lambda picks: _quantiles(one, picks, level) / _quantiles(other, picks, level),
        numerator.blocks,
        seed,
    )
    return _spread(float(value), resampled, numerator.blocks)


def total(timings: Timings, seed: int = 0) -> Spread:
    """The sum of the calls' medians: what the calls take together when nothing disturbs
    them."""
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

    Each call has a ratio of its own: the median over the rounds of its time in round i over
    the other's in round i. A machine that is slower for some seconds is so for both sides
    of a round, which cancels. The calls' ratios are averaged with the other side's times as
    weights: the result is a ratio of total times, in which a call counts as much as it
    takes. In a plain mean the many short texts would decide.

    Where the two do not have the same calls, a round's calls are taken together as one."""
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
    """Means of the calls' median ratios, weighed by their median times: [resamples, rounds,
    calls] to [resamples]."""
    weights = np.median(times, axis=1)  # [resamples, calls]
    means: np.ndarray = (weights * np.median(quotients, axis=1)).sum(axis=1) / weights.sum(axis=1)
    return means


def _quantiles(times: np.ndarray, picks: np.ndarray, level: float) -> np.ndarray:
    """Quantiles of all timings of the picked rounds: [resamples, rounds] to [resamples]."""
    found: np.ndarray = np.quantile(times[picks].reshape(len(picks), -1), level, axis=1)
    return found


def _sums(times: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """Sums of the calls' medians over the picked rounds: [resamples, rounds] to
    [resamples]."""
    sums: np.ndarray = np.median(times[picks], axis=1).sum(axis=1)
    return sums


def _resampled(
    statistic: Callable[[np.ndarray], np.ndarray], blocks: np.ndarray, seed: int
) -> np.ndarray:
    """``statistic`` of the rounds of each resample, [RESAMPLES]; it maps picks [some,
    rounds] to [some]."""
    picks = _picks(blocks, seed)
    parts = []
    for start in range(0, RESAMPLES, _TOGETHER):
        parts.append(statistic(picks[start : start + _TOGETHER]))
    return np.concatenate(parts)


def _picks(blocks: np.ndarray, seed: int) -> np.ndarray:
    """The rounds of each resample, [RESAMPLES, rounds]: blocks drawn with replacement, then
    rounds within them.

    They depend on ``blocks`` and ``seed`` alone, so that two artifacts that were measured
    in turns get the same draws. All blocks have one length but the last, which may be
    shorter: its rounds are repeated to fill the table, and what is drawn is cut to the
    number of rounds."""
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
    # What was drawn independently: the blocks, or the rounds where there is only one block.
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
    """The end ``factor`` times as far from ``value``, on the scale of the logarithm:
    exp(log value + factor * (log end - log value))."""
    widened: float = value * (float(end) / value) ** factor
    return widened


def _expansion(units: int, student: Sequence[float], normal: float) -> float:
    """How much wider an interval is than its percentiles, by the number of units that were
    drawn; 1 where a single one leaves nothing to estimate a spread from."""
    if units < 2:
        return 1.0
    quantile = student[units - 2] if units - 2 < len(student) else normal
    return math.sqrt(units / (units - 1)) * quantile / normal
