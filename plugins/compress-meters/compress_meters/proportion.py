"""The interval of a share of decisions, and a test of whether two artifacts are right
equally often."""

from __future__ import annotations

import math

import numpy as np

TWO_SIDED, ONE_SIDED = 1.959964, 1.644854
"""Standard normal quantiles of 97.5 % and 95 %."""


def wilson(share: float, n: float, z: float = TWO_SIDED) -> tuple[float, float]:
    """Score interval (low, high) of a ``share`` of ``n`` (Wilson 1927, Probable Inference,
    the Law of Succession, and Statistical Inference).

    The usual interval, share +- z * standard error, goes below 0 or above 1, and has no
    width for a share of 0. This one holds every share p that is at most z of *its own*
    standard errors away from the observed share."""
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At 0 and 1 the two terms cancel exactly in mathematics, not in float64.
    return (0.0 if share == 0 else middle - half), (1.0 if share == 1 else middle + half)


def effective_count(hits: np.ndarray, decisions: np.ndarray) -> float:
    """The number of independent decisions that would tell as much about a share.

    ``decisions`` [examples] are the decisions of each example, ``hits`` [examples] how many
    of them count. Decisions of one example resemble each other. So the variance of the
    share is larger than for independent ones. The factor is the design effect, and the
    effective number is the number of decisions over this factor (Kish 1965, Survey
    Sampling, section 8.2; with Wilson's interval: Korn and Graubard 1998, Confidence
    Intervals for Proportions with Small Expected Number of Positive Counts).

    If none or all count, the effect cannot be estimated. The result is then the number of
    examples with a decision, as if each decided once."""
    total = float(decisions.sum())
    share = float(hits.sum()) / total
    if share in (0.0, 1.0):
        return float((decisions > 0).sum())
    # The variance of the examples' sums around their expected value, over that of
    # independent decisions. An effect below 1 is chance. It must not make the effective
    # number larger than the number of decisions.
    effect = float(((hits - share * decisions) ** 2).sum()) / (total * share * (1 - share))
    return total / max(1.0, effect)


def mcnemar(one: int, other: int) -> float:
    """Two-sided exact p-value for two sides being right equally often.

    ``one`` and ``other`` are the numbers of decisions that only the one side, and only the
    other side, has right. Decisions that both have right, or both wrong, tell nothing. If
    the sides are equally good, each of the rest falls to either side with a chance of 1/2.
    So the p-value is twice the tail of a binomial distribution (McNemar 1947, Note on the
    sampling error of the difference between correlated proportions). Decisions must be
    independent of each other."""
    n, fewer = one + other, min(one, other)
    if n == 0:
        return 1.0
    steps = np.arange(fewer, dtype=np.float64)
    # log C(n, k) for k = 0 ... fewer, where C(n, k + 1) = C(n, k) * (n - k) / (k + 1). In
    # logarithms, because C(n, k) overflows float64 from n = 1030 on.
    logarithms = np.concatenate([[0.0], np.log((n - steps) / (steps + 1)).cumsum()])
    return min(1.0, 2.0 * float(np.exp(logarithms - n * math.log(2)).sum()))
