"""chrF, which compares texts by the characters that they share (Popović 2015, chrF: character
n-gram F-score for automatic MT evaluation): of all answers together, without spaces."""

from __future__ import annotations

from collections import Counter

import numpy as np

_LONGEST = 6
_BETA = 2
"""How many times recall weighs as much as precision."""


def counts_of(answer: str, target: str) -> np.ndarray:
    """For n from 1 to 6 the n-grams that the two share, those of the answer, and those of the
    target: float64 [18]. Counts of several examples are added."""
    counts = []
    for n in range(1, _LONGEST + 1):
        own, wanted = _grams(answer, n), _grams(target, n)
        counts += [(own & wanted).total(), own.total(), wanted.total()]
    return np.array(counts, dtype=np.float64)


def chrf(counts: np.ndarray) -> np.ndarray:
    """chrF, from 0 to 1, of summed counts [..., 18]: the mean over all n that a target has."""
    by_n = counts.reshape(*counts.shape[:-1], _LONGEST, 3)
    shared, own, wanted = by_n[..., 0], by_n[..., 1], by_n[..., 2]
    # F is (1 + b²) shared / (own + b² wanted); it is 0 where nothing is shared.
    score = (1 + _BETA**2) * shared / np.maximum(own + _BETA**2 * wanted, 1)
    return np.asarray(score.sum(axis=-1) / np.maximum((wanted > 0).sum(axis=-1), 1))


def _grams(text: str, n: int) -> Counter[str]:
    characters = "".join(text.split())
    return Counter(characters[i : i + n] for i in range(len(characters) - n + 1))
