"""Cut a model: whole layers, feed-forward neurons, attention heads, each with all coupled
tensors.

The caller chooses the indices to keep. A cut then removes the other rows and columns from
all coupled tensors, and updates the attributes that count them. A cut belongs to a stack of
blocks (``compress.architecture.Stack``): most models have one, an encoder and a decoder have one
each. ``compress.hidden`` cuts the width that all blocks share.

After all cuts ``compress.shapes.settle`` writes into the config what a stock config can express
and returns the rest as *edits* (``compress.edits``).

A cut by example. One BERT block has hidden width 8, 4 heads of 2, and 6 feed-forward
neurons. A linear layer from 8 to 6 has a weight [6, 8]: its rows are its outputs, its
columns its inputs.

``keep_heads`` of heads 0 and 2: head h owns the rows 2h and 2h + 1, so rows 0, 1, 4, 5
stay.

    query, key, value   weight [8, 8] -> [4, 8]   bias [8] -> [4]   rows go
    attention output    weight [8, 8] -> [8, 4]   bias [8] stays    the columns that read them go
    num_attention_heads 4 -> 2, all_head_size 8 -> 4                what forward reshapes by

``keep_feed_forward`` of the neurons 1, 3 and 4:

    intermediate        weight [6, 8] -> [3, 8]   bias [6] -> [3]   rows go
    output              weight [8, 6] -> [8, 3]   bias [8] stays    the columns that read them go

Both ends of a cut lie inside the block. What the block adds to the residual stream is still
8 wide, so no other block changes. The bias of an output belongs to that sum, not to a head
or a neuron.

Where query heads share key and value heads (4 query and 2 key heads: groups of 2), a group
goes together: keeping query heads 2 and 3 keeps rows 4 to 7 of query [8, 8] -> [4, 8], and
key head 1, rows 2 and 3 of key and value [4, 8] -> [2, 8]. Or as many heads of each group stay:
keeping query heads 0 and 3 keeps rows 0, 1, 6 and 7 of query, and all of key and value.

One layer may compute queries, keys and values (GPT-2): its rows are those of the queries, the keys
and the values, and each third is cut alike. Where the first block holds a bias for each head that
all blocks add (T5), the caller keeps the same heads in all blocks of the stack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn
from transformers import PreTrainedModel

from compress.architecture import Architecture, AttentionLayout, Layers, SharedBias, Stack
from compress.cutting import (
    checked_indices,
    columns_of,
    cut_feed_forward,
    cut_heads,
    head_counts_of,
    projection_at,
)
from compress.errors import CompressError, Mistake, UsageError
from compress.layers import layer_mistakes
from compress.options import KeptByStack, KeptLayers
from compress.sizes import sizes


def blocks_of(model: PreTrainedModel, stack: Stack) -> list[nn.Module]:
    """The transformer blocks of a stack, first to last."""
    return list(model.get_submodule(blocks_path(model, stack)).children())


def blocks_path(model: PreTrainedModel, stack: Stack) -> str:
    """The path of a stack's module list in ``model``."""
    prefix = model.base_model_prefix
    return f"{prefix}.{stack.blocks}" if prefix and hasattr(model, prefix) else stack.blocks


def feed_forward_widths(model: PreTrainedModel, stack: Stack) -> list[int]:
    """Feed-forward width of each block."""
    path = stack.feed_forward.output
    return [columns_of(projection_at(block, path)) for block in blocks_of(model, stack)]


def head_size_of(model: PreTrainedModel, architecture: type[Architecture]) -> int:
    """Width of one head. Raises CompressError if the config does not say."""
    size = sizes(model.config, [architecture]).head_size
    if size is None:
        raise CompressError(
            f"the config of this {model.config.model_type} model does not say how wide a head is"
        )
    return size


def head_counts(
    model: PreTrainedModel, stack: Stack, attention: AttentionLayout, head_size: int
) -> list[tuple[int, int]]:
    """(query heads, key and value heads) of each block, in one of the stack's attentions."""
    return [head_counts_of(block, attention, head_size) for block in blocks_of(model, stack)]


def kept_by_stack(
    model: PreTrainedModel, stacks: Sequence[Stack], asked: KeptByStack, option: str
) -> Mapping[str, KeptLayers]:
    """The layers to keep of each stack that ``asked`` speaks of, by its name. ``option`` is where a
    user asked for them.

    Raises UsageError if ``asked`` does not fit the model, as ``compress.layers.layer_mistakes``
    says."""
    mistakes = layer_mistakes(asked, layers_of(model, stacks), option)
    if mistakes:
        raise UsageError([Mistake("", each.message, each.hint) for each in mistakes])
    return asked if isinstance(asked, Mapping) else {stacks[0].name: asked}


def layers_of(model: PreTrainedModel, stacks: Sequence[Stack]) -> Layers:
    """How many layers each stack has."""
    return {stack.name: len(blocks_of(model, stack)) for stack in stacks}


def keep_layers(model: PreTrainedModel, stack: Stack, indices: Sequence[int]) -> None:
    """Keep the blocks at ``indices`` (ascending) of a stack, in place. The config counts layers, so
    this needs no edit."""
    path = blocks_path(model, stack)
    blocks = blocks_of(model, stack)
    kept = checked_indices(indices, len(blocks), f"layers of {path}")
    for attention in stack.attentions:
        if attention.bias is not None:
            _move_bias(blocks[0], blocks[kept[0]], attention.bias)
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, nn.ModuleList(blocks[i] for i in kept))
    for new, old in enumerate(kept):
        for module in blocks[old].modules():
            # The place of a layer's keys and values in a decoder's cache, which has one per
            # layer.
            if hasattr(module, "layer_idx"):
                module.layer_idx = new  # type: ignore[assignment]
    config = model.config
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[i] for i in kept]
    setattr(config, stack.keys.get("layers", "num_hidden_layers"), len(kept))


def keep_feed_forward(
    model: PreTrainedModel, stack: Stack, block: int, indices: Sequence[int]
) -> None:
    """Keep the feed-forward neurons ``indices`` (ascending) of block number ``block`` of a stack,
    in place."""
    path = f"{blocks_path(model, stack)}.{block}"
    cut_feed_forward(model.get_submodule(path), path, stack.feed_forward, indices)


def keep_heads(
    model: PreTrainedModel,
    stack: Stack,
    attention: AttentionLayout,
    block: int,
    heads: Sequence[int],
    head_size: int,
) -> None:
    """Keep the query heads ``heads`` (ascending) of block number ``block``, in one of the stack's
    attentions, in place.

    Raises CompressError if query heads share key and value heads, and ``heads`` holds more of one
    group than of another."""
    path = f"{blocks_path(model, stack)}.{block}"
    cut_heads(model.get_submodule(path), path, attention, heads, head_size)


def _move_bias(old: nn.Module, new: nn.Module, bias: SharedBias) -> None:
    """Give the block ``new``, which becomes the first, the bias that the first one has."""
    before, after = old.get_submodule(bias.module), new.get_submodule(bias.module)
    if before is after or not getattr(before, bias.flag):
        return
    setattr(after, bias.embedding, getattr(before, bias.embedding))
    setattr(after, bias.flag, True)
