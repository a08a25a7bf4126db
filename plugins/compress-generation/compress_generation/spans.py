"""T5's span corruption: some spans of a text are hidden, and the model writes them (Raffel et al.
2020, Exploring the limits of transfer learning, section 3.1.4, arXiv:1910.10683).

In the input a sentinel stands for each hidden span. The target is each sentinel with the tokens
that it stands for, and one more sentinel at the end. Spans are drawn as by the paper's own code
(``random_spans_noise_mask`` of the package t5): how many tokens and spans are hidden follows from
the length of the text, and the lengths of spans are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def hidden(
    length: int, share: float, mean: float, most: int, draws: np.random.Generator
) -> np.ndarray:
    """Which of ``length`` tokens are hidden, bool [length]: a ``share`` of them, in spans of
    ``mean`` tokens on average, ``most`` spans at most. The first token is never hidden; a text of
    one token hides nothing."""
    if length < 2:
        return np.zeros(length, bool)
    count = min(max(round(length * share), 1), length - 1)
    spans = min(max(round(count / mean), 1), most, count, length - count)
    lengths = np.empty(2 * spans, np.int64)
    lengths[0::2] = _parts(length - count, spans, draws)
    lengths[1::2] = _parts(count, spans, draws)
    return np.repeat(np.arange(2 * spans) % 2 == 1, lengths)


def _parts(total: int, parts: int, draws: np.random.Generator) -> np.ndarray:
    """Numbers of at least 1 with this ``total``, int64 [parts]; all choices are equally likely."""
    starts = np.sort(draws.permutation(total - 1)[: parts - 1]) + 1
    return np.diff(np.concatenate([[0], starts, [total]]))


def corrupted(
    ids: Sequence[int], mask: np.ndarray, sentinels: Sequence[int], end: int
) -> tuple[list[int], list[int]]:
    """The input and the target of tokens of which those in ``mask`` are hidden, each with the
    ``end`` token. There is a sentinel for each span, and one more."""
    source: list[int] = []
    target: list[int] = []
    used = 0
    for place, token in enumerate(ids):
        if not mask[place]:
            source.append(token)
            continue
        if place == 0 or not mask[place - 1]:
            source.append(sentinels[used])
            target.append(sentinels[used])
            used += 1
        target.append(token)
    return [*source, end], [*target, sentinels[used], end]
