"""Tune what a cut leaves: each output projection is fitted again, by least squares, so that its
layer makes what it made before the cut.

A part of a block (an attention, a feed-forward part) hands x [width] to its output projection,
which makes W x + b. After a cut it has the places S of x alone. A change of the kept columns of W,
and of b, is fitted so that W_S x_S + b comes nearest to what the uncut model makes there, over the
tokens of some texts. Parts are tuned in the order in which they run: each reads what the tuned ones
before it make, and so makes up for what they lost.

This is the tuning of K-prune (Park et al., ICLR 2024, "Accurate Retraining-free Pruning for
Pretrained Encoder-based Language Models", section 3.4), of whole weights as there. Kwon et al.
2022, section 4.3, scale each unit by one number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from compress.architecture import Layout
from compress.cutting import Projection, axes_of_projection, columns_of
from compress.models import forward
from compress.moments import counted
from compress.stage import Context
from compress.surgery import blocks_of, blocks_path
from compress_prune.importance import Batch

_RIDGE = 1e-5
"""Added to the diagonal of the Gram matrix, as a share of its mean: it holds the weights at what
they are, where the texts do not say what they should be."""


class _Reached(Exception):
    """Ends a forward pass of which the rest is not needed."""


def tune_all(
    model: PreTrainedModel,
    whole: PreTrainedModel,
    layout: Layout,
    batches: list[Batch],
    context: Context[Any],
) -> dict[str, float]:
    """Fit the output of every part that was cut, in the order in which they run. Returns, by the
    path of each, the share of what ``whole`` makes there that is missed."""
    paths = cut_projections(model, whole, output_paths(model, layout))

    def tuned() -> tuple[dict[str, float], list[dict[str, Tensor]]]:
        missed = {}
        for done, path in enumerate(paths, 1):
            missed[path] = tune(model, whole, path, batches)
            context.progress(done, len(paths), "tuning what is left")
        return missed, [model.get_submodule(path).state_dict() for path in paths]

    missed, states = context.first(tuned)
    for path, state in zip(paths, states, strict=True):
        model.get_submodule(path).load_state_dict(state)
    return missed


def output_paths(model: PreTrainedModel, layout: Layout) -> list[str]:
    """The paths of the output projections of all attentions and feed-forward parts, in the order in
    which they run."""
    paths = []
    for stack in layout.stacks:
        for number in range(len(blocks_of(model, stack))):
            outputs = [each.output for each in stack.attentions]
            block = f"{blocks_path(model, stack)}.{number}"
            paths += [f"{block}.{path}" for path in (*outputs, stack.feed_forward.output)]
    return paths


def cut_projections(
    model: PreTrainedModel, whole: PreTrainedModel, paths: Sequence[str]
) -> list[str]:
    """Those of ``paths`` whose projections read less in ``model`` than in ``whole``."""
    own, before = ([_projection(each, path) for path in paths] for each in (model, whole))
    pairs = zip(paths, own, before, strict=True)
    return [path for path, now, then in pairs if columns_of(now) < columns_of(then)]


@torch.no_grad()
def tune(
    model: PreTrainedModel, whole: PreTrainedModel, path: str, batches: Sequence[Batch]
) -> float:
    """Fit the projection at ``path`` of ``model``, in place, so that it makes what it makes in
    ``whole``. Both are in evaluation mode.

    Returns the share of the squared output of ``whole`` that is still missed. In memory are a
    matrix of the projection's inputs by its inputs, and the states of one batch."""
    projection = _projection(model, path)
    gram: Any = 0.0
    open_: Any = 0.0
    missed = total = 0.0
    for batch in batches:
        given, made = _states_at(model, path, batch)
        _, wanted = _states_at(whole, path, batch)
        rest = wanted - made
        if projection.bias is not None:  # it is the weight of an input that is always 1
            given = torch.cat([given, torch.ones_like(given[:, :1])], dim=1)
        # Products in float32, sums in float64: there are as many terms as tokens in all texts.
        gram = gram + (given.T @ given).double()
        open_ = open_ + (given.T @ rest).double()
        missed += float(rest.double().square().sum())
        total += float(wanted.double().square().sum())
    change = _solved(gram, open_)
    # |rest - given change|^2, from the sums alone.
    missed += float((change * (gram @ change - 2 * open_)).sum())
    _add(projection, change)
    return max(missed, 0.0) / max(total, 1e-30)


def _solved(gram: Tensor, open_: Tensor) -> Tensor:
    """The least squares with a ridge, [inputs, outputs]."""
    ridge = _RIDGE * gram.diagonal().mean().clamp_min(1e-30)
    own = gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return torch.cholesky_solve(open_, torch.linalg.cholesky(own))


def _add(projection: Projection, change: Tensor) -> None:
    """Add a change [inputs, outputs] to the weight, and its last row to the bias."""
    if projection.bias is not None:
        projection.bias.add_(change[-1].to(projection.bias.dtype))
        change = change[:-1]
    rows, _ = axes_of_projection(projection)
    projection.weight.add_((change.T if rows == 0 else change).to(projection.weight.dtype))


def _projection(model: PreTrainedModel, path: str) -> Projection:
    module = model.get_submodule(path)
    assert isinstance(module, Projection), path
    return module


def _states_at(model: PreTrainedModel, path: str, batch: Batch) -> tuple[Tensor, Tensor]:
    """What the projection at ``path`` reads and makes for the tokens of a batch that count, float32
    [tokens, width]. The model runs no further."""
    with _watched(_projection(model, path)) as seen, suppress(_Reached):
        forward(model, batch)
    given, made = (counted(states, batch).float() for states in seen)
    return given, made


@contextmanager
def _watched(module: nn.Module) -> Iterator[list[Tensor]]:
    """A list into which the module's input and output go, when it runs; that ends the run."""
    seen: list[Tensor] = []

    def hook(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        seen.extend((args[0], output))
        raise _Reached

    handle = module.register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()
