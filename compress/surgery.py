"""Cut a model: whole layers, feed-forward neurons, attention heads, each with all coupled
tensors.

The caller chooses the indices to keep. A cut then removes the other rows and columns from
all coupled tensors, updates the attributes that count them, and checks the shapes. After
all cuts ``settle`` writes into the config what a stock config can express and returns the
rest as *edits* (``compress.edits``). ``replay`` gives an empty model built from that config
the same shapes, without knowing the architecture. Edits describe the model as it is, not its
history: they stay right when a pruned model is pruned again.

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
key head 1, rows 2 and 3 of key and value [4, 8] -> [2, 8].
"""

from __future__ import annotations

from collections.abc import Sequence

from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import PreTrainedModel

from compress.architecture import Architecture, AttentionLayout, FeedForwardLayout, Layout
from compress.cutting import (
    checked_indices,
    cut_feed_forward,
    cut_heads,
    head_counts_of,
    linear_at,
)
from compress.edits import Edit, FeedForwardEdit, HeadsEdit
from compress.errors import CompressError
from compress.sizes import sizes


def blocks_of(model: PreTrainedModel, layout: Layout) -> list[nn.Module]:
    """The transformer blocks of ``model``, first to last."""
    return list(model.get_submodule(_blocks_path(model, layout)).children())


def feed_forward_widths(model: PreTrainedModel, layout: Layout) -> list[int]:
    """Feed-forward width of each block."""
    path = layout.feed_forward.output
    return [linear_at(block, path).in_features for block in blocks_of(model, layout)]


def head_size_of(model: PreTrainedModel, architecture: type[Architecture]) -> int:
    """Width of one head. Raises CompressError if the config does not say."""
    size = sizes(model.config, [architecture]).head_size
    if size is None:
        raise CompressError(
            f"the config of this {model.config.model_type} model does not say how wide a head is"
        )
    return size


def head_counts(model: PreTrainedModel, layout: Layout, head_size: int) -> list[tuple[int, int]]:
    """(query heads, key and value heads) of each block."""
    return [head_counts_of(b, layout.attention, head_size) for b in blocks_of(model, layout)]


def keep_layers(model: PreTrainedModel, layout: Layout, indices: Sequence[int]) -> None:
    """Keep the blocks at ``indices`` (ascending), in place. The config counts layers, so
    this needs no edit."""
    path = _blocks_path(model, layout)
    blocks = blocks_of(model, layout)
    kept = checked_indices(indices, len(blocks), f"layers of {path}")
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
    config.num_hidden_layers = len(kept)


def keep_feed_forward(
    model: PreTrainedModel, layout: Layout, block: int, indices: Sequence[int]
) -> FeedForwardEdit:
    """Keep the feed-forward neurons ``indices`` (ascending) of block number ``block``, in place,
    and return the edit that repeats the cut."""
    path = f"{_blocks_path(model, layout)}.{block}"
    cut_feed_forward(model.get_submodule(path), path, layout.feed_forward, indices)
    return _feed_forward_edit(path, layout.feed_forward, len(indices))


def keep_heads(
    model: PreTrainedModel, layout: Layout, block: int, heads: Sequence[int], head_size: int
) -> HeadsEdit:
    """Keep the query heads ``heads`` (ascending) of block number ``block``, in place, and return
    the edit that repeats the cut.

    Raises CompressError if query heads share key and value heads and ``heads`` holds only a part
    of a group."""
    path = f"{_blocks_path(model, layout)}.{block}"
    cut_heads(model.get_submodule(path), path, layout.attention, heads, head_size)
    return _heads_edit(path, layout.attention, len(heads), head_size)


def settle(model: PreTrainedModel, architecture: type[Architecture]) -> list[Edit]:
    """Write every shape that the model's config can express into it, and return edits for the
    others: none for a stock model.

    A config can express one feed-forward width for all blocks. It can express one head count for
    all if the architecture states its head size and the config accepts the count."""
    layout = architecture.layout
    if layout is None:
        raise CompressError(
            f"architecture {architecture.name} has no layout, so that nothing of it can be cut"
        )
    head_size = head_size_of(model, architecture)
    widths, counts = feed_forward_widths(model, layout), head_counts(model, layout, head_size)
    if len(set(widths)) == 1:
        setattr(model.config, architecture.sizes["feed_forward"], widths[0])
    if architecture.states_head_size and len(set(counts)) == 1:
        _state_heads(model, architecture, counts[0], head_size)
    # What the config says now is what an empty model is built with; every block that
    # differs from it needs an edit.
    width_stated = sizes(model.config, [architecture]).feed_forward
    heads_stated = _stated_heads(model, architecture)
    path = _blocks_path(model, layout)
    edits: list[Edit] = []
    for i, width in enumerate(widths):
        if width != width_stated:
            edits.append(_feed_forward_edit(f"{path}.{i}", layout.feed_forward, width))
    for i, count in enumerate(counts):
        if count != heads_stated:
            edits.append(_heads_edit(f"{path}.{i}", layout.attention, count[0], head_size))
    return edits


def replay(model: PreTrainedModel, edits: Sequence[Edit]) -> None:
    """Give ``model`` the shapes of ``edits``, in place. It is fresh from its config and may
    be without memory (meta device).

    Raises CompressError for an edit that does not fit the model."""
    for edit in edits:
        try:
            block = model.get_submodule(edit["block"])
        except AttributeError as error:
            raise CompressError(
                f"an edit names {edit['block']}, which this model does not have"
            ) from error
        _replay_one(block, edit)


def _replay_one(block: nn.Module, edit: Edit) -> None:
    """Give one part of ``block`` the shape of ``edit``."""
    # Only the number of rows counts: the model is empty, and its weights come later from a file.
    path, kept = edit["block"], range(edit["keep"])
    if edit["op"] == "feed_forward":
        ends = FeedForwardLayout(tuple(edit["inputs"]), edit["output"])
        cut_feed_forward(block, path, ends, kept)
    elif edit["op"] == "heads":
        counts = tuple((module, name, unit) for module, name, unit in edit["counts"])
        layout = AttentionLayout(edit["query"], edit["key"], edit["value"], edit["output"], counts)
        cut_heads(block, path, layout, kept, edit["head_size"])
    else:
        raise CompressError(
            f"{path}: unknown edit {edit['op']!r}; it was written by another release of compress"
        )


def _feed_forward_edit(path: str, layout: FeedForwardLayout, keep: int) -> FeedForwardEdit:
    return {
        "op": "feed_forward",
        "block": path,
        "keep": keep,
        "inputs": list(layout.inputs),
        "output": layout.output,
    }


def _heads_edit(path: str, layout: AttentionLayout, keep: int, head_size: int) -> HeadsEdit:
    return {
        "op": "heads",
        "block": path,
        "keep": keep,
        "head_size": head_size,
        "query": layout.query,
        "key": layout.key,
        "value": layout.value,
        "output": layout.output,
        "counts": list(layout.counts),
    }


def _stated_heads(
    model: PreTrainedModel, architecture: type[Architecture]
) -> tuple[int | None, int | None]:
    """(query heads, key and value heads) of every block, as the config says."""
    stated = sizes(model.config, [architecture])
    return stated.heads, stated.key_value_heads or stated.heads


def _state_heads(
    model: PreTrainedModel, architecture: type[Architecture], counts: tuple[int, int], size: int
) -> None:
    """Write the head counts into the config, if they differ from it and it accepts them.

    Llama's config refuses a number of heads that does not divide the hidden width."""
    if counts == _stated_heads(model, architecture):
        return
    keys, (heads, shared) = architecture.sizes, counts
    values = {keys["heads"]: heads, keys["key_value_heads"]: shared, keys["head_size"]: size}
    try:
        type(model.config).from_dict({**model.config.to_dict(), **values})
    except (ValueError, StrictDataclassError):
        return
    for key, value in values.items():
        setattr(model.config, key, value)


def _blocks_path(model: PreTrainedModel, layout: Layout) -> str:
    prefix = model.base_model_prefix
    return f"{prefix}.{layout.blocks}" if prefix and hasattr(model, prefix) else layout.blocks
