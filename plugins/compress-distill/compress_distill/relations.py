"""Losses on what tokens are to each other in an attention layer: pure functions of its queries,
keys and values. They compute in float32, also where the forward pass used bf16.

Padding is left out twice: a token that is none has no line, and no other token relates to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

_LEAST = -1e30
"""The score of a token that is none: its share is 0. The difference of two infinities would be no
number."""
_NUMBERS = 16
"""Numbers of a relation head, where nobody says how many heads there are. MiniLMv2 takes 48 heads
of a width of 768."""


def legal_heads(widths: Iterable[int]) -> list[int]:
    """The numbers of heads into which all ``widths`` can be divided, ascending."""
    common = math.gcd(*widths)
    return [heads for heads in range(1, common + 1) if common % heads == 0]


def usual_heads(widths: Iterable[int]) -> int:
    """The most heads that divide all ``widths`` and have 16 numbers or more; 1 where none do."""
    known = list(widths)
    return max((n for n in legal_heads(known) if min(known) // n >= _NUMBERS), default=1)


def relations_distance(student: Tensor, teacher: Tensor, mask: Tensor, heads: int) -> Tensor:
    """KL(teacher || student) of the relations of tokens, a mean over tokens and heads; a float32
    scalar. Without a token it is 0.

    ``student`` and ``teacher`` are both queries, both keys or both values: [batch, length, width],
    with widths that may differ and that ``heads`` divide. ``mask``, bool [batch, length], says
    which tokens there are. The relations of a token are the softmax, over the tokens of its text,
    of the products of its vector and theirs in a head, over the root of the head's width. Wang et
    al. 2021, MiniLMv2, section 3.1 (arXiv:2012.15828)."""
    own, theirs = (scores(side, side, heads) for side in (student, teacher))
    return rows_divergence(own, theirs, mask)


def scores(query: Tensor, key: Tensor, heads: int) -> Tensor:
    """The scaled dot products of tokens, float32 [batch, heads, length, length]: those of a
    ``query`` in a line, those of a ``key`` in a column; both are [batch, length, width]."""
    lines, columns = (
        side.float().unflatten(-1, (heads, -1)).transpose(1, 2) for side in (query, key)
    )
    made: Tensor = lines @ columns.transpose(-1, -2) / math.sqrt(lines.shape[-1])
    return made


def rows_divergence(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """KL(teacher || student) of the softmax of each line of ``scores`` [batch, heads, length,
    length], a mean over the lines of tokens and over heads; a float32 scalar."""
    if not mask.any():
        return student.sum() * 0
    away = ~mask[:, None, None, :]
    own, theirs = (
        functional.log_softmax(side.masked_fill(away, _LEAST), dim=-1)
        for side in (student, teacher)
    )
    by_line = functional.kl_div(own, theirs, reduction="none", log_target=True).sum(dim=-1)
    return by_line.mean(dim=1)[mask].mean()


def scores_error(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """The squared difference of ``scores`` [batch, heads, length, length], a mean over heads and
    over all pairs of tokens of a text; a float32 scalar. Jiao et al. 2020, TinyBERT, section 3.1
    (arXiv:1909.10351): the scores before the softmax are learned, which fits better."""
    both = pairs_of_tokens(mask)
    if not both.any():
        return student.sum() * 0
    return (student - teacher).square().mean(dim=1)[both].mean()


def pairs_of_tokens(mask: Tensor) -> Tensor:
    """Which pairs are two tokens of a text, bool [batch, length, length]."""
    return torch.logical_and(mask[:, :, None], mask[:, None, :])
