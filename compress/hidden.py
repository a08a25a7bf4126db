"""Cut the hidden width of a model: the places of the state that every block reads, changes and
hands on.

All tensors that have this width lose the same places: embeddings, positions and norms, the columns
of what reads the state, the rows of what adds to it, and a tied head. Which tensors these are is
not written down for each family. Two empty models are built, of the model's config and of the same
with another hidden width: where the sizes of a parameter differ, they follow from it. The rows of
queries, keys and values, and the columns of attention outputs, are those of heads, which stay.

By example: one BERT block has hidden width 8, 4 heads of 2, and 6 neurons. Keeping 6 places:

    word embeddings     [vocabulary, 8] -> [vocabulary, 6]
    query, key, value   weight [8, 8] -> [8, 6]       the columns go, the heads stay
    attention output    weight [8, 8] -> [6, 8]       rows and bias go
    intermediate        weight [6, 8] -> [6, 6]       columns go
    output              weight [8, 6] -> [6, 6]       rows and bias go
    norms               weight [8] -> [6]

What else has the hidden width by its config, such as the output of a pooler, loses the same places.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from accelerate import init_empty_weights
from torch import nn
from transformers import PreTrainedModel

from compress.architecture import Architecture, AttentionLayout
from compress.cutting import axes_of_projection, checked_indices, count_again, selected
from compress.edits import HiddenEdit
from compress.errors import CompressError
from compress.lowrank import in_factors, in_stock
from compress.surgery import blocks_path

Axes = Mapping[str, Sequence[int]]
"""The axes of parameters, by their names. A number in a name may be ``*``, which is any."""


def hidden_width(model: PreTrainedModel, architecture: type[Architecture]) -> int:
    """The number of places of the hidden state."""
    return _width(model, hidden_axes(model, architecture))


def _width(model: PreTrainedModel, axes: Axes) -> int:
    name, places = next(iter(axes.items()))
    return int(model.get_parameter(name).shape[places[0]])


def keep_hidden(
    model: PreTrainedModel, architecture: type[Architecture], indices: Sequence[int]
) -> None:
    """Keep the places ``indices`` (ascending) of the hidden state, in place.

    Weights of norms are scaled by the root of (places before / places after), because a norm
    divides by a mean over the places. So where the removed places are always zero and the norms are
    RMS norms, the outputs stay the same, but for the norms' epsilon. Where norms also subtract the
    mean (LayerNorm), they stay the same only if the mean of the other places is zero too. Otherwise
    the cut is an approximation, which training repairs."""
    axes = hidden_axes(model, architecture)
    width = _width(model, axes)
    kept = checked_indices(indices, width, "places of the hidden state")
    if len(kept) == width:
        return
    cut_hidden(model, axes, kept)
    for name in axes:
        weight = model.get_parameter(name)
        if weight.ndim == 1 and name.endswith(".weight"):
            weight.data *= math.sqrt(width / len(kept))


def hidden_axes(model: PreTrainedModel, architecture: type[Architecture]) -> dict[str, list[int]]:
    """The axes of each parameter that have the hidden width, by its name.

    Raises CompressError for a family whose parts or sizes no architecture describes."""
    key = architecture.sizes.get("hidden")
    if key is None or architecture.layout is None:
        raise CompressError(
            f"architecture {architecture.name} does not say where the hidden width is: it needs a "
            "layout, and the config key of 'hidden' in its sizes"
        )
    width = getattr(model.config, key)
    own, wider = (_shapes(model, {key: size}) for size in (width, 2 * width))
    heads = set(_head_axes(model, architecture))
    found: dict[str, list[int]] = {}
    for name, shape in own.items():
        axes = [
            axis
            for axis, size in enumerate(shape)
            if size == width and size != wider[name][axis] and (name, axis) not in heads
        ]
        if axes:
            found[name] = axes
    return in_factors(model, found)


def cut_hidden(model: PreTrainedModel, axes: Axes, kept: Sequence[int]) -> None:
    """Keep the places ``kept`` of these axes, in place. Raises CompressError where the model has
    fewer."""
    made: dict[int, nn.Parameter] = {}  # a tied parameter is cut once, and stays tied
    patterns = [(re.compile(re.escape(n).replace(r"\*", r"\d+")), a) for n, a in axes.items()]
    for name, parameter in list(model.named_parameters(remove_duplicate=False)):
        places = next((a for pattern, a in patterns if pattern.fullmatch(name)), None)
        if places is None:
            continue
        if id(parameter) not in made:
            made[id(parameter)] = _cut(parameter, name, places, kept)
        owner, _, attribute = name.rpartition(".")
        module = model.get_submodule(owner)
        setattr(module, attribute, made[id(parameter)])
        if attribute == "weight":
            count_again(module)


def hidden_edit(
    model: PreTrainedModel, empty: PreTrainedModel, architecture: type[Architecture]
) -> Iterator[HiddenEdit]:
    """An edit, if the hidden width of ``model`` is not that of ``empty``."""
    assert architecture.layout is not None
    own = hidden_axes(model, architecture)
    found = in_stock(own)
    width, stated = _width(model, own), _width(empty, found)
    if width == stated:
        return
    axes = {}
    for name, places in found.items():
        for stack in architecture.layout.stacks:
            path = re.escape(blocks_path(model, stack))
            name = re.sub(rf"^({path})\.\d+\.", r"\1.*.", name)
        axes[name] = places
    yield {"op": "hidden", "keep": width, "axes": axes}


def _cut(
    parameter: nn.Parameter, name: str, axes: Sequence[int], kept: Sequence[int]
) -> nn.Parameter:
    for axis in axes:
        if axis >= parameter.ndim or kept[-1] >= parameter.shape[axis]:
            raise CompressError(
                f"an edit keeps {len(kept)} places of the axis {axis} of {name}, which has the "
                f"shape {list(parameter.shape)}"
            )
        parameter = selected(parameter, axis, kept)
    return parameter


def _shapes(model: PreTrainedModel, values: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of the parameters of an empty model whose config has these values."""
    config = type(model.config).from_dict({**model.config.to_dict(), **values})
    with init_empty_weights(include_buffers=True):
        empty = type(model)(config)
    return {n: tuple(p.shape) for n, p in empty.named_parameters(remove_duplicate=False)}


def _head_axes(
    model: PreTrainedModel, architecture: type[Architecture]
) -> Iterator[tuple[str, int]]:
    """(name, axis) of the axes that belong to heads."""
    assert architecture.layout is not None
    for stack in architecture.layout.stacks:
        path = blocks_path(model, stack)
        for i in range(len(model.get_submodule(path))):  # type: ignore[arg-type]
            for attention in stack.attentions:
                yield from _axes_of_attention(model, f"{path}.{i}", attention)


def _axes_of_attention(
    model: PreTrainedModel, block: str, attention: AttentionLayout
) -> Iterator[tuple[str, int]]:
    for path in (attention.query, attention.key, attention.value):
        rows, _ = axes_of_projection(model.get_submodule(f"{block}.{path}"))
        yield f"{block}.{path}.weight", rows
        yield f"{block}.{path}.bias", 0
    _, columns = axes_of_projection(model.get_submodule(f"{block}.{attention.output}"))
    yield f"{block}.{attention.output}.weight", columns
