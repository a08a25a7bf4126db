"""A share of decisions, its interval, and whether two artifacts are right equally often."""

from __future__ import annotations

import math

import numpy as np

TWO_SIDED, ONE_SIDED = 1.959964, 1.644854
"""Standard normal quantiles of 97.5 % and 95 %."""


def wilson(share: float, n: float, z: float = TWO_SIDED) -> tuple[float, float]:
    """Score interval (low, high) of a share of ``n`` (Wilson 1927, Probable Inference, the Law of
    Succession, and Statistical Inference); it stays within 0 and 1, and has a width where nothing
    was counted."""
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (0.0 if share == 0 else middle - half), (1.0 if share == 1 else middle + half)


def effective_count(hits: np.ndarray, decisions: np.ndarray) -> float:
    """How many independent decisions are worth as much as these, of which ``hits`` [examples] of
    ``decisions`` [examples] count: those of one example resemble each other.

    The count over the design effect (Kish 1965, Survey Sampling, section 8.2; with Wilson's
    interval: Korn and Graubard 1998, Confidence Intervals for Proportions with Small Expected
    Number of Positive Counts), which is at least 1. Where none or all count it cannot be estimated:
    the number of examples, as if each decided once."""
    total = float(decisions.sum())
    share = float(hits.sum()) / total
    if share in (0.0, 1.0):
        return float((decisions > 0).sum())
    effect = float(((hits - share * decisions) ** 2).sum()) / (total * share * (1 - share))
    return total / max(1.0, effect)


def mcnemar(one: int, other: int) -> float:
    """Two-sided exact p-value for ``one`` and ``other``, how often only the one and only the other
    side is right, being drawn from equal chances (McNemar 1947, Note on the sampling error of the
    difference between correlated proportions; exact: a binomial with a chance of 1/2)."""
    n, fewer = one + other, min(one, other)
    if n == 0:
        return 1.0
    steps = np.arange(fewer, dtype=np.float64)
    # log C(n, k) for k = 0 ... fewer: each binomial coefficient is the one before times (n - k) /
    # (k + 1).
    logarithms = np.concatenate([[0.0], np.log((n - steps) / (steps + 1)).cumsum()])
    return min(1.0, 2.0 * float(np.exp(logarithms - n * math.log(2)).sum()))
