"""The shape of a cut model: what its config says, and edits for the rest.

``settle`` writes into the config what a stock config can express and returns the rest as *edits*
(``compress.edits``). ``replay`` gives an empty model built from that config the same shapes,
without knowing the architecture. Edits describe the model as it is, not its history: they stay
right when a pruned model is pruned again.

A plugin may cut in a way of its own: ``Architecture.own_edits`` describes it, and a function that
is registered with ``register_edit`` repeats it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from accelerate import init_empty_weights
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import PreTrainedModel

from compress.architecture import (
    Architecture,
    AttentionLayout,
    FeedForwardLayout,
    SharedBias,
    Stack,
)
from compress.cutting import cut_feed_forward, cut_heads, head_counts_of
from compress.edits import Edit, FeedForwardEdit, HeadsEdit
from compress.errors import CompressError
from compress.hidden import cut_hidden, hidden_edit, hidden_width
from compress.lowrank import low_rank_edit, replay_low_rank
from compress.sizes import sizes
from compress.surgery import (
    blocks_path,
    feed_forward_widths,
    head_counts,
    head_size_of,
)

Replay = Callable[[PreTrainedModel, Mapping[str, Any]], None]
"""Gives an empty model, in place, the shape that an edit describes."""

_REGISTERED: dict[str, Replay] = {}


def register_edit(kind: str, replay: Replay) -> None:
    """Make ``replay`` repeat the edits of a plugin's own ``kind``, whose name has a dot. Called in
    ``Architecture.register``, as transformers' own registrations are."""
    _REGISTERED[kind] = replay


def settle(model: PreTrainedModel, architecture: type[Architecture]) -> list[Edit]:
    """Write every shape that the model's config can express into it, and return edits for the
    others: none for a stock model.

    A config can express one feed-forward width for all blocks. It can express one head count for
    all if the architecture states its head size and the config accepts the count, and the hidden
    width if the architecture says so."""
    if architecture.layout is None:
        raise CompressError(
            f"architecture {architecture.name} has no layout, so that nothing of it can be cut"
        )
    stacks = architecture.layout.stacks
    _state_widths(model, architecture, stacks)
    if architecture.states_head_size:
        _state_heads(model, architecture, stacks)
    if architecture.states_hidden:
        _state_hidden(model, architecture)
    # What an empty model is built with; every part that differs from it needs an edit.
    empty = empty_like(model)
    edits: list[Edit] = []
    for stack in stacks:
        edits += _stack_edits(model, empty, stack, head_size_of(model, architecture))
    if "hidden" in architecture.sizes:  # else it cannot have been cut
        edits += hidden_edit(model, empty, architecture)
    edits += low_rank_edit(model)  # after the width of what it replaces
    return [*edits, *architecture.own_edits(model)]  # type: ignore[list-item]


def empty_like(model: PreTrainedModel) -> PreTrainedModel:
    """A model of the same class and config, without memory."""
    with init_empty_weights(include_buffers=True):
        return type(model)(type(model.config).from_dict(model.config.to_dict()))


def replay(model: PreTrainedModel, edits: Sequence[Edit], needs: Sequence[str] = ()) -> None:
    """Give ``model`` the shapes of ``edits``, in place. It is fresh from its config and may
    be without memory (meta device). ``needs`` are the distributions that made it.

    Raises CompressError for an edit that does not fit the model, or that no plugin knows."""
    for each in edits:
        edit: Any = each
        if edit["op"] == "hidden":
            cut_hidden(model, edit["axes"], range(edit["keep"]))
        elif edit["op"] == "low_rank":
            replay_low_rank(model, edit)
        elif edit["op"] in ("feed_forward", "heads"):
            _replay_block(model, edit)
        elif edit["op"] in _REGISTERED:
            _REGISTERED[edit["op"]](model, edit)
        else:
            by = f" of {' or '.join(needs)}" if needs else ""
            raise CompressError(
                f"no installed plugin knows the edit {edit['op']!r}: install the version{by} that "
                "the model was made with"
            )


def _replay_block(model: PreTrainedModel, edit: Mapping[str, Any]) -> None:
    """Give one part of a block the shape of ``edit``."""
    try:
        block = model.get_submodule(edit["block"])
    except AttributeError as error:
        raise CompressError(
            f"an edit names {edit['block']}, which this model does not have"
        ) from error
    # Only the number of rows counts: the model is empty, and its weights come later from a file.
    path, kept = edit["block"], range(edit["keep"])
    if edit["op"] == "feed_forward":
        cut_feed_forward(
            block, path, FeedForwardLayout(tuple(edit["inputs"]), edit["output"]), kept
        )
        return
    counts = tuple((module, name, unit) for module, name, unit in edit["counts"])
    bias = SharedBias(*edit["bias"]) if "bias" in edit else None
    layout = AttentionLayout(
        edit["query"], edit["key"], edit["value"], edit["output"], counts, bias
    )
    cut_heads(block, path, layout, _heads_left(block, layout, edit), edit["head_size"])


def _heads_left(block: nn.Module, layout: AttentionLayout, edit: Mapping[str, Any]) -> list[int]:
    """Query heads of an empty block of which as many stay as ``edit`` says, in as many groups."""
    queries, shared = head_counts_of(block, layout, edit["head_size"])
    groups = edit.get("shared", edit["keep"])
    group, each = queries // shared, edit["keep"] // groups
    return [first * group + i for first in range(groups) for i in range(each)]


def _stack_edits(
    model: PreTrainedModel, empty: PreTrainedModel, stack: Stack, head_size: int
) -> Iterator[Edit]:
    """Edits for the parts of a stack whose shapes differ from those of ``empty``."""
    path = blocks_path(model, stack)
    widths = zip(feed_forward_widths(model, stack), feed_forward_widths(empty, stack), strict=True)
    for i, (width, stated) in enumerate(widths):
        if width != stated:
            yield _feed_forward_edit(f"{path}.{i}", stack.feed_forward, width)
    for attention in stack.attentions:
        pairs = (head_counts(each, stack, attention, head_size) for each in (model, empty))
        for i, (count, own) in enumerate(zip(*pairs, strict=True)):
            if count != own:
                yield _heads_edit(f"{path}.{i}", attention, count, head_size)


def _feed_forward_edit(path: str, layout: FeedForwardLayout, keep: int) -> FeedForwardEdit:
    return {
        "op": "feed_forward",
        "block": path,
        "keep": keep,
        "inputs": list(layout.inputs),
        "output": layout.output,
    }


def _heads_edit(
    path: str, layout: AttentionLayout, count: tuple[int, int], head_size: int
) -> HeadsEdit:
    keep, shared = count
    edit: HeadsEdit = {
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
    if shared != keep:
        edit["shared"] = shared
    if layout.bias is not None:
        edit["bias"] = (layout.bias.module, layout.bias.embedding, layout.bias.flag)
    return edit


def _state_widths(
    model: PreTrainedModel, architecture: type[Architecture], stacks: Sequence[Stack]
) -> None:
    """Write the feed-forward width into the config for each key that has one for all its blocks."""
    own, stated = (
        _widths_by_key(each, architecture, stacks) for each in (model, empty_like(model))
    )
    for key, widths in own.items():
        # A key may be empty, which is a width by default: it stays empty where that is right.
        if len(widths) == 1 and widths != stated[key]:
            setattr(model.config, key, *widths)


def _widths_by_key(
    model: PreTrainedModel, architecture: type[Architecture], stacks: Sequence[Stack]
) -> dict[str, set[int]]:
    """The feed-forward widths of all blocks for which the config has one key."""
    widths: dict[str, set[int]] = {}
    for stack in stacks:
        key = stack.keys.get("feed_forward") or architecture.sizes["feed_forward"]
        widths.setdefault(key, set()).update(feed_forward_widths(model, stack))
    return widths


def _state_heads(
    model: PreTrainedModel, architecture: type[Architecture], stacks: Sequence[Stack]
) -> None:
    """Write the head count into the config, if all blocks have one that differs from it and it
    accepts the count."""
    size = head_size_of(model, architecture)
    counts = {
        count
        for stack in stacks
        for attention in stack.attentions
        for count in head_counts(model, stack, attention, size)
    }
    stated = sizes(model.config, [architecture])
    if len(counts) > 1 or counts == {(stated.heads, stated.key_value_heads or stated.heads)}:
        return
    (heads, shared), keys = counts.pop(), architecture.sizes
    values = {keys["heads"]: heads, keys["head_size"]: size}
    if "key_value_heads" in keys:
        values[keys["key_value_heads"]] = shared
    _state(model, values)


def _state_hidden(model: PreTrainedModel, architecture: type[Architecture]) -> None:
    """Write the hidden width into the config, if it differs and the config accepts it; and the
    head size, which would else be taken for a part of the new width."""
    key, width = architecture.sizes["hidden"], hidden_width(model, architecture)
    if getattr(model.config, key) == width:
        return
    values = {key: width}
    if architecture.states_head_size:
        values[architecture.sizes["head_size"]] = head_size_of(model, architecture)
    _state(model, values)


def _state(model: PreTrainedModel, values: Mapping[str, int]) -> None:
    """Write values into the config, if it accepts them.

    Llama's config refuses a number of heads that does not divide the hidden width."""
    try:
        type(model.config).from_dict({**model.config.to_dict(), **values})
    except (ValueError, StrictDataclassError):
        return
    for key, value in values.items():
        setattr(model.config, key, value)
