"""Narrow a model's hidden width by what its states are on data.

Few places of the state are free of the others. So places are kept from which the others can be
told best, and what reads the state is mended: it reads the others' share from those that stay.

1. ``state_moments`` runs the model on data and keeps mean and covariance of what each layer reads.
2. ``best_places`` chooses places one after the other: each time the one that, in a linear
   regression, explains most of what the places so far leave open (Farahat et al. 2011, "An
   Efficient Greedy Method for Unsupervised Feature Selection", section III).
3. ``narrow`` cuts the others. A layer with weight W [rows, width] that reads x gets the weight W A
   [rows, kept], where A [width, kept] regresses x on its kept places x_S: W x is about W A x_S, and
   the bias takes what is constant. A norm gets the weight and the bias that come nearest, place by
   place, to what it gave before.

By example: of four places the third is always twice the first. It is not kept, and a layer with the
weights [1, 2, 3, 4] gets [1 + 2 * 3, 2, 4].
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from compress.architecture import Architecture
from compress.cutting import Projection, axes_of_projection, count_again, selected
from compress.hidden import hidden_axes, hidden_width, keep_hidden
from compress.moments import Batch, Moments, Readers, counted

Run = Callable[[Batch], Any]
"""Runs the model on a batch."""


@torch.no_grad()
def state_moments(
    model: PreTrainedModel, architecture: type[Architecture], batches: Sequence[Batch], run: Run
) -> Readers:
    """What each layer that reads the hidden state is given in ``batches``. Padding does not count.
    The model should be in evaluation mode."""
    moments: dict[str, Moments] = {}
    owner: dict[str, str] = {}
    seen: list[tuple[Tensor, str]] = []  # the inputs of a batch: several layers may read one
    batch: Batch = {}

    def note(name: str, states: Tensor) -> None:
        known = next((first for tensor, first in seen if tensor is states), name)
        owner[name] = known
        if known == name:
            seen.append((states, name))
            moments.setdefault(name, Moments()).add(counted(states, batch))

    with _hooked(dict(_readers(model, architecture)), lambda name, _, given, __: note(name, given)):
        for batch in batches:
            seen.clear()
            run(batch)
    return Readers(moments, owner)


def best_places(readers: Readers, width: int) -> list[int]:
    """``width`` places of the hidden state, ascending, from which the others are told best. Each
    layer's input counts alike."""
    spreads = [moments.covariance() for moments in readers.moments.values()]
    left = torch.stack([each / each.trace().clamp_min(1e-30) for each in spreads]).sum(0)
    chosen: list[int] = []
    least = 1e-12 * float(left.diagonal().max())
    for _ in range(width):
        own = left.diagonal().clone()
        gains = left.square().sum(0) / own.clamp_min(least)
        # What is left of a place that the chosen ones explain is rounding.
        gains[own <= least] = 0
        gains[torch.tensor(chosen, dtype=torch.long)] = -1
        place = int(gains.argmax())
        chosen.append(place)
        if own[place] > least:
            left = left - torch.outer(left[:, place], left[place]) / own[place]
    return sorted(chosen)


@torch.no_grad()
def narrow(
    model: PreTrainedModel,
    architecture: type[Architecture],
    kept: Sequence[int],
    readers: Readers,
    batches: Sequence[Batch],
    run: Run,
) -> None:
    """Keep the places ``kept`` (ascending) of the hidden state, in place, and mend what reads
    it."""
    if len(kept) == hidden_width(model, architecture):
        return
    norms = _norms_after(model, architecture, kept, batches, run)
    for name, module in _readers(model, architecture):
        moments = readers.of(name)
        if moments is not None:
            _mend(module, moments, kept)
    keep_hidden(model, architecture, kept)
    for name, (weight, bias) in norms.items():
        norm: Any = model.get_submodule(name)
        norm.weight.copy_(weight)
        if bias is not None:
            norm.bias.copy_(bias)


def _mend(module: Projection, moments: Moments, kept: Sequence[int]) -> None:
    """Let a layer read all places from those that stay. The others' columns are cut later."""
    weights, shift = moments.regression(kept, constant=module.bias is not None)
    _, columns = axes_of_projection(module)
    weight = module.weight if columns == 1 else module.weight.T  # a view of the parameter
    own = weight.double()
    if module.bias is not None:
        module.bias.add_(own @ shift)
    weight[:, torch.tensor(kept, device=weight.device)] = (own @ weights).to(weight.dtype)


def _readers(
    model: PreTrainedModel, architecture: type[Architecture]
) -> Iterator[tuple[str, Projection]]:
    """(name, layer) of the layers that read the hidden state, but for a head that shares the
    embeddings' weight: those are cut."""
    embeddings = model.get_input_embeddings().weight
    for name, axes in hidden_axes(model, architecture).items():
        path, _, attribute = name.rpartition(".")
        module: Any = model.get_submodule(path)
        is_layer = attribute == "weight" and isinstance(module, Projection)
        if is_layer and module.weight is not embeddings and axes_of_projection(module)[1] in axes:
            yield path, module


def _norms(
    model: PreTrainedModel, architecture: type[Architecture]
) -> Iterator[tuple[str, nn.Module]]:
    """(name, norm) of the norms of the hidden state."""
    for name in hidden_axes(model, architecture):
        path, _, attribute = name.rpartition(".")
        if attribute == "weight" and model.get_parameter(name).ndim == 1:
            yield path, model.get_submodule(path)


def _norms_after(
    model: PreTrainedModel,
    architecture: type[Architecture],
    kept: Sequence[int],
    batches: Sequence[Batch],
    run: Run,
) -> dict[str, tuple[Tensor, Tensor | None]]:
    """The weight and the bias of each norm of the kept places alone, by least squares."""
    norms = dict(_norms(model, architecture))
    bare = {name: _bare(norm, kept) for name, norm in norms.items()}
    sums = {name: torch.zeros(5, len(kept), dtype=torch.float64) for name in norms}
    index = torch.tensor(kept)
    batch: Batch = {}

    def note(name: str, given: Tensor, made: Tensor) -> None:
        places = index.to(given.device)
        x = counted(bare[name](given[..., places]), batch).double()
        y = counted(made[..., places], batch).double()
        found = [torch.ones_like(x), x, y, x * x, x * y]
        sums[name] += torch.stack([each.sum(0) for each in found]).cpu()

    with _hooked(norms, lambda name, _, given, made: note(name, given, made)):
        for batch in batches:
            run(batch)
    return {
        name: _fitted(sums[name], getattr(norms[name], "bias", None) is not None)
        for name in norms
        if sums[name][0, 0] > 0
    }


def _bare(norm: nn.Module, kept: Sequence[int]) -> nn.Module:
    """The norm of the kept places, with weights of one and biases of zero."""
    own: Any = copy.deepcopy(norm)
    own.weight = nn.Parameter(torch.ones_like(selected(own.weight, 0, kept)))
    if getattr(own, "bias", None) is not None:
        own.bias = nn.Parameter(torch.zeros_like(selected(own.bias, 0, kept)))
    count_again(own)
    return own  # type: ignore[no-any-return]


def _fitted(sums: Tensor, constant: bool) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of the least squares of y by x, place by place. ``sums`` [5, width] are those
    of 1, x, y, x² and xy."""
    count, x, y, xx, xy = sums
    if not constant:
        return xy / xx.clamp_min(1e-12), None
    variance = (xx / count - (x / count) ** 2).clamp_min(1e-12)
    weight = (xy / count - x * y / count**2) / variance
    return weight, (y - weight * x) / count


@contextmanager
def _hooked(
    modules: Mapping[str, nn.Module], note: Callable[[str, nn.Module, Tensor, Any], None]
) -> Iterator[None]:
    """While it is open, ``note(name, module, input, output)`` is called for each of the modules
    that is run."""
    hooks = []
    for name, module in modules.items():

        def hook(module: nn.Module, args: Any, output: Any, name: str = name) -> None:
            note(name, module, args[0], output)

        hooks.append(module.register_forward_hook(hook))
    try:
        yield
    finally:
        for each in hooks:
            each.remove()
