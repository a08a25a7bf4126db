"""The units of a stack of blocks: which columns they are, and how a share of them is cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedModel

from compress import surgery
from compress.architecture import AttentionLayout, Stack
from compress.cutting import projection_at
from compress_prune.choose import (
    goes_whole,
    heads_of,
    kept_units,
    kept_width,
    most_important,
    most_important_of_each,
)
from compress_prune.importance import Gated


class Neurons:
    """The feed-forward neurons of a stack. ``gated`` are the feed-forward outputs of its blocks,
    whose every column is a neuron."""

    def __init__(self, model: PreTrainedModel, stack: Stack, share: float) -> None:
        self._model, self._stack, self._share = model, stack, share
        path = stack.feed_forward.output
        self.gated = [
            Gated(projection_at(block, path), 1) for block in surgery.blocks_of(model, stack)
        ]

    def cut(self, scores: Sequence[np.ndarray]) -> None:
        """Remove the share of the neurons of each block: those with the lowest of its scores."""
        for i, score in enumerate(scores):
            kept = most_important(score, kept_width(len(score), self._share))
            surgery.keep_feed_forward(self._model, self._stack, i, kept)


class Heads:
    """The heads of one attention of a stack. ``gated`` are the attention outputs of its blocks,
    whose units are heads. Where query heads share a key and value head, the units are groups of
    heads, which go together; or heads, if that would remove no group."""

    def __init__(
        self,
        model: PreTrainedModel,
        stack: Stack,
        attention: AttentionLayout,
        head_size: int,
        share: float,
    ) -> None:
        self._model, self._stack, self._share = model, stack, share
        self._attention, self._head_size = attention, head_size
        counts = surgery.head_counts(model, stack, attention, head_size)
        self._groups = [queries // shared for queries, shared in counts]
        self._whole = [goes_whole(shared, queries // shared, share) for queries, shared in counts]
        self.gated = []
        for i, block in enumerate(surgery.blocks_of(model, stack)):
            heads = self._groups[i] if self._whole[i] else 1
            self.gated.append(Gated(projection_at(block, attention.output), head_size * heads))

    def cut(self, scores: Sequence[np.ndarray]) -> None:
        """Remove the share of the heads of each block: those with the lowest of its scores. Where
        all blocks must keep the same heads, those with the lowest sums of the scores of all."""
        if self._attention.bias is not None:
            scores = [np.sum(scores, axis=0)] * len(scores)
        for i, score in enumerate(scores):
            heads = self._kept(i, score)
            surgery.keep_heads(self._model, self._stack, self._attention, i, heads, self._head_size)

    def _kept(self, block: int, score: np.ndarray) -> list[int]:
        """The query heads that stay in a block."""
        if not self._whole[block]:
            return most_important_of_each(score, self._groups[block], self._share)
        groups = most_important(score, kept_units(len(score), self._share))
        return heads_of(groups, self._groups[block])
