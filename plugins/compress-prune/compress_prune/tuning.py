"""Tune what a cut leaves: each output projection is fitted again, by least squares, so that its
layer makes what it made before the cut.

A part of a block (an attention, a feed-forward part) hands x [width] to its output projection,
which makes W x + b. After a cut it has the places S of x alone. A change of the kept columns of W,
and of b, is fitted so that W_S x_S + b comes nearest to what the uncut model makes there, over the
tokens of some texts, each by its relative error. Parts are tuned in the order in which they run:
each reads what the tuned ones before it make, and so makes up for what they lost.

This is the tuning of K-prune (Park et al., ICLR 2024, "Accurate Retraining-free Pruning for
Pretrained Encoder-based Language Models", section 3.4), of whole weights as there. Kwon et al.
2022, section 4.3, scale each unit by one number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
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

_RIDGES = (1e-7, 1e-5, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""The ridges that are tried, in parts of the squares of each input."""


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


@dataclass
class _Sums:
    """Sums over weighed tokens with inputs x [inputs] and rests r [outputs], in float64: of x x^T,
    of x r^T, and of the squares of r and of what was wanted."""

    gram: Any = 0.0
    open: Any = 0.0
    missed: float = 0.0
    wanted: float = 0.0

    def add(self, given: Tensor, rest: Tensor, wanted: Tensor) -> None:
        """Count the tokens of a batch, each [tokens, width]."""
        # In float32 the rounding of a product is more than a small ridge: with fewer tokens than
        # inputs the sums would not be positive definite.
        given, rest = given.double(), rest.double()
        self.gram = self.gram + given.T @ given
        self.open = self.open + given.T @ rest
        self.missed += float(rest.square().sum())
        self.wanted += float(wanted.double().square().sum())

    def plus(self, other: _Sums) -> _Sums:
        """The sums over the tokens of both."""
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return _Sums(*(own + more for own, more in pairs))

    def change(self, ridge: float) -> Tensor:
        """The least squares, [inputs, outputs], with a ridge of so many times the squares of each
        input."""
        own = self.gram.diagonal()
        # An input that is always zero has no square of its own.
        own = ridge * own.clamp_min(1e-12 * own.mean().clamp_min(1e-30))
        return torch.cholesky_solve(self.open, torch.linalg.cholesky(self.gram + own.diag()))

    def left(self, change: Tensor) -> float:
        """The square of what is missed with a change, as a share of what was wanted."""
        gained = float((change * (2 * self.open - self.gram @ change)).sum())
        return max(self.missed - gained, 0.0) / max(self.wanted, 1e-30)


@torch.no_grad()
def tune(
    model: PreTrainedModel, whole: PreTrainedModel, path: str, batches: Sequence[Batch]
) -> float:
    """Fit the projection at ``path`` of ``model``, in place, so that it makes what it makes in
    ``whole``. Both are in evaluation mode.

    Each token counts by its error relative to what ``whole`` makes of it. Some tokens' outputs are
    a hundred times larger than the others'; a norm follows that takes that away, and a plain sum of
    squares would fit them alone. How firmly the ridge holds the weights at what they are is what is
    best on every second batch, fitted to the others. So nothing changes that does not help there.

    Returns the share of the squared output of ``whole`` that is still missed. In memory are two
    matrices of the projection's inputs by its inputs, and the states of one batch."""
    projection = _projection(model, path)
    fitted, held = _Sums(), _Sums()
    for number, batch in enumerate(batches):
        given, made = _states_at(model, path, batch)
        _, wanted = _states_at(whole, path, batch)
        if projection.bias is not None:  # it is the weight of an input that is always 1
            given = torch.cat([given, torch.ones_like(given[:, :1])], dim=1)
        size = wanted.norm(dim=1, keepdim=True).clamp_min(1e-6)
        (held if number % 2 else fitted).add(given / size, (wanted - made) / size, wanted / size)
    together = fitted.plus(held) if held.wanted else fitted
    ridge = _best_ridge(fitted, held) if held.wanted else max(_RIDGES)
    if ridge is None:
        return together.missed / max(together.wanted, 1e-30)
    change = together.change(ridge)
    _add(projection, change)
    return together.left(change)


def _best_ridge(fitted: _Sums, held: _Sums) -> float | None:
    """The ridge whose fit to some tokens misses least on others; None where no fit helps."""
    missed = {ridge: held.left(fitted.change(ridge)) for ridge in _RIDGES}
    best = min(missed, key=lambda ridge: missed[ridge])
    return best if missed[best] < held.missed / held.wanted else None


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
