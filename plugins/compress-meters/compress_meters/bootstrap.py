"""The percentile bootstrap of a score over examples (Efron and Tibshirani 1993, An
Introduction to the Bootstrap, chapter 13).

A test split is one draw of examples out of many that could have been drawn. Drawing from it
again, with replacement, shows how much its score depends on which examples it happens to
hold. That needs no formula for the score, so it serves F1 and correlations as well as
shares.

A task that can be resampled gives counts [examples, k], and its score follows from their
sums [k]: (right, 1) for accuracy, (true positives, false positives, false negatives) for
F1. A resample then costs one sum instead of one scoring. A score that does not follow from
sums (a median, a rank correlation) cannot be resampled in this way.

An example is the unit of a draw. Where an example has several decisions (the words of a
sentence), they are drawn together. Drawn one by one they would look independent, and the
intervals would be too narrow.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compress.measurement import Direction

RESAMPLES = 2000
"""The 2.5 % ends are then the 50th values from either side. With fewer resamples an end
would depend on a handful of values, and so on the seed."""

LEVELS = (2.5, 97.5)
"""Percentiles of the resamples between which 95 % of them lie."""

Interval = tuple[float, float]


def resampled(
    counts: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], seed: int
) -> np.ndarray:
    """The statistic of each resample, float64 [RESAMPLES].

    ``counts`` are [examples, k]; ``statistic`` maps summed counts [..., k] to [...].
    Examples are drawn with replacement. The draws depend on ``seed`` and the number of
    examples alone: the i-th values of two artifacts belong to the same examples, so their
    differences are a paired bootstrap."""
    generator = np.random.default_rng(seed)
    total = len(counts)
    sums = []
    for _ in range(RESAMPLES):
        # One resample at a time: all 2,000 at once would take 16 GB for a million examples.
        # How often each example was drawn [examples], times its counts, is the resample's
        # sum [k].
        times_drawn = np.bincount(generator.integers(total, size=total), minlength=total)
        sums.append(times_drawn @ counts)
    return np.asarray(statistic(np.stack(sums)), dtype=np.float64)


def varies(values: np.ndarray) -> bool:
    """Whether any two ``values`` [resamples] differ. None do if every example is right."""
    return bool(np.ptp(values) > 0)


def interval(values: np.ndarray, examples: int, right: float = 1.0) -> Interval:
    """The middle 95 % (low, high) of ``values`` [resamples], which were resampled from
    ``examples`` examples.

    If all values are equal, the percentiles would give an interval of no width, which
    claims certainty. Then its ends are as far from the value as unseen examples could move
    it (``unseen``). ``right`` is the value that a score of 1 would have: 1 for a score
    itself."""
    if not varies(values):
        change = right * unseen(examples, 0.975)
        return float(values[0]) - change, float(values[0]) + change
    low, high = np.percentile(values, LEVELS)
    return float(low), float(high)


def worst(values: np.ndarray, direction: Direction, examples: int, right: float = 1.0) -> float:
    """The end on the bad side of the one-sided 95 % interval: high if lower is better, low
    otherwise. Arguments as in ``interval``."""
    lower_is_better = direction == "lower"
    if not varies(values):
        change = right * unseen(examples, 0.95)
        return float(values[0]) + change * (1 if lower_is_better else -1)
    return float(np.percentile(values, 95.0 if lower_is_better else 5.0))


def unseen(examples: int, level: float) -> float:
    """The largest share of examples of another kind, if none of ``examples`` is of that
    kind; at a one-sided confidence ``level``.

    The exact bound of a binomial with a count of 0: the share p for which n examples of the
    usual kind have the probability (1 - p)^n = 1 - level (Clopper and Pearson 1934, The Use
    of Confidence or Fiducial Limits). At 95 % it is about 3 / n. A share of right examples
    changes by at most as much, and F1 by about as much. For other scores (a correlation, a
    loss) it is a convention."""
    return float(1.0 - (1.0 - level) ** (1.0 / examples))


def p_of_zero(differences: np.ndarray, differing: int) -> float:
    """Two-sided p-value for no difference, of resampled ``differences`` [resamples].

    Twice the share of the resamples on the rarer side of 0. The observed difference counts
    as one of them, so that p is never 0 (Davison and Hinkley 1997, Bootstrap Methods and
    their Application, section 4.2; for test sets: Koehn 2004, Statistical Significance
    Tests for Machine Translation Evaluation, section 4).

    It is never below 2 / 2^n, the smallest p-value of an exact test of signs with n =
    ``differing`` examples: if 3 examples differ, all in one direction, nearly every
    resample lies on that side, and yet chance alone does so one time in four."""
    rarer = min((differences <= 0).sum(), (differences >= 0).sum())
    of_resamples = min(1.0, 2.0 * (int(rarer) + 1) / (len(differences) + 1))
    of_signs = min(1.0, 2.0 * 0.5**differing)
    return max(of_resamples, of_signs)
