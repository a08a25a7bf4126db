"""The units of a stack of blocks: which columns they are, how many of each block stay, and how the
others are cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from transformers import PreTrainedModel

from compress import surgery
from compress.architecture import Architecture, AttentionLayout, Layout, Stack
from compress.cutting import projection_at
from compress.errors import Mistake, UsageError
from compress_prune.budget import least_loss, part_of
from compress_prune.choose import (
    MULTIPLE,
    goes_whole,
    heads_of,
    kept_units,
    kept_width,
    most_important,
    most_important_of_each,
)
from compress_prune.importance import Gated
from compress_prune.shares import by_layer, share_mistakes

if TYPE_CHECKING:
    from compress_prune.options import StructuredOptions


class Neurons:
    """The feed-forward neurons of a stack. ``gated`` are the feed-forward outputs of its blocks,
    whose every column is a neuron; of each block a share of ``shares`` goes. A block can keep any
    multiple of ``step``."""

    def __init__(
        self,
        model: PreTrainedModel,
        stack: Stack,
        shares: Sequence[float],
        step: int = MULTIPLE,
    ) -> None:
        self._model, self._stack, self.step = model, stack, step
        self.name = f"feed_forward of {stack.name}"
        self.stated_by = stack.keys.get("feed_forward", "")
        """The config key of their number, where the stack has one of its own."""
        path = stack.feed_forward.output
        self.gated = [
            Gated(projection_at(block, path), 1) for block in surgery.blocks_of(model, stack)
        ]
        self.kept = [
            kept_width(each.units, share) for each, share in zip(self.gated, shares, strict=True)
        ]
        """How many stay of each block."""

    is_free = True
    """Whether each block can keep a number of its own."""

    def judged(self, scores: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """The scores by which neurons are chosen in each block: their own."""
        return scores

    def cut(self, scores: Sequence[np.ndarray], kept: Sequence[int]) -> None:
        """Keep so many neurons of each block: those with the highest of its scores."""
        for i, (score, count) in enumerate(zip(scores, kept, strict=True)):
            most = most_important(score, count)
            surgery.keep_feed_forward(self._model, self._stack, i, most)


class Heads:
    """The heads of one attention of a stack. ``gated`` are the attention outputs of its blocks,
    whose units are heads; of each block a share of ``shares`` goes. Where query heads share a key
    and value head, the units are groups of heads, which go together; or heads, if that would remove
    no group."""

    def __init__(
        self,
        model: PreTrainedModel,
        stack: Stack,
        attention: AttentionLayout,
        head_size: int,
        shares: Sequence[float],
    ) -> None:
        self._model, self._stack = model, stack
        self._attention, self._head_size = attention, head_size
        self.name = f"heads of {attention.output} of {stack.name}"
        self.stated_by = stack.keys.get("heads", "")
        counts = surgery.head_counts(model, stack, attention, head_size)
        self._groups = [queries // shared for queries, shared in counts]
        self._whole, self.kept, self.gated = [], [], []
        blocks = surgery.blocks_of(model, stack)
        for block, (queries, shared), share in zip(blocks, counts, shares, strict=True):
            group = queries // shared
            whole = share == 0 or goes_whole(shared, group, share)
            self._whole.append(whole)
            self.kept.append(kept_units(shared if whole else group, share))
            columns = head_size * (group if whole else 1)
            self.gated.append(Gated(projection_at(block, attention.output), columns))

    step = 1

    @property
    def is_free(self) -> bool:
        """Whether each block can keep a number of its own."""
        return self._attention.bias is None and all(self._whole)

    def cut(self, scores: Sequence[np.ndarray], kept: Sequence[int]) -> None:
        """Keep so many units of each block: those with the highest of its scores. Where all blocks
        must keep the same heads, those with the highest means of the scores of all."""
        for i, (score, count) in enumerate(zip(self.judged(scores), kept, strict=True)):
            heads = self._heads(i, score, count)
            surgery.keep_heads(self._model, self._stack, self._attention, i, heads, self._head_size)

    def judged(self, scores: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """The scores by which heads are chosen in each block: their own, or the mean of all."""
        if self._attention.bias is None:
            return scores
        return [np.mean(scores, axis=0)] * len(scores)

    def _heads(self, block: int, score: np.ndarray, count: int) -> list[int]:
        """The query heads that stay in a block."""
        if not self._whole[block]:
            return most_important_of_each(score, self._groups[block], count)
        return heads_of(most_important(score, count), self._groups[block])


@dataclass(frozen=True)
class Family:
    """What is known of the models of a family."""

    architecture: type[Architecture]
    layout: Layout


def units_of(
    model: PreTrainedModel, family: Family, options: StructuredOptions
) -> list[Neurons | Heads]:
    """The neurons of each stack, and the heads of each of its attentions, of which some go.

    Raises UsageError for shares of layers that the model does not have."""
    stacks = family.layout.stacks
    head_size = surgery.head_size_of(model, family.architecture)
    mistakes = share_mistakes(options, surgery.layers_of(model, stacks))
    if mistakes:
        raise UsageError([Mistake("", each.message, each.hint) for each in mistakes])
    neurons: list[Neurons | Heads] = []
    heads: list[Neurons | Heads] = []
    for stack in stacks:
        blocks = len(surgery.blocks_of(model, stack))
        if options.cuts_neurons:
            shares = by_layer(options.feed_forward, blocks)
            neurons.append(Neurons(model, stack, shares, options.multiple))
        if options.cuts_heads:
            shares = by_layer(options.heads, blocks)
            for attention in stack.attentions:
                heads.append(Heads(model, stack, attention, head_size, shares))
    return [*neurons, *heads]


def shared_out(
    units: Sequence[Neurons | Heads], scores: Sequence[Sequence[np.ndarray]]
) -> list[list[int]]:
    """How many units of each block stay, where as many neurons stay together as by the shares, and
    as many heads, and each block loses what it can spare: the sum of the scores that go is the
    least.

    Blocks that must keep the same heads, or as many of each group, keep what the shares say."""
    kept = [list(unit.kept) for unit in units]
    for one in (Neurons, Heads):
        free = [i for i, unit in enumerate(units) if isinstance(unit, one) and unit.is_free]
        parts = [part_of(score, units[i].step) for i in free for score in scores[i]]
        if not parts:
            continue
        sizes = least_loss(parts, sum(count for i in free for count in kept[i]))
        assert sizes is not None, "what the shares leave of each block is a choice"
        found = iter(sizes)
        for i in free:
            kept[i] = [next(found) for _ in kept[i]]
    return kept
