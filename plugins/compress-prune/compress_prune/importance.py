"""Criteria of importance: how much a model's loss depends on its parts, measured on data.

A *unit* (a neuron, a head, a group of heads) is a run of adjacent input columns of an
output projection. A *layer* is a whole transformer block.

A new criterion is one function and one entry in ``UNIT_CRITERIA`` or ``LAYER_CRITERIA``.
Higher scores mean more important: the units or layers with the highest scores stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from compress.cutting import Projection, columns_of
from compress.errors import CompressError
from compress.task import IGNORED

Batch = dict[str, torch.Tensor]


LossOf = Callable[[nn.Module, Batch], torch.Tensor | None]
"""From a model and a batch: the task's loss, a scalar; None if there is none."""


@dataclass(frozen=True)
class Gated:
    """An output projection whose input columns are units of ``unit_size`` columns each (1
    for neurons, the head size for heads)."""

    projection: Projection
    unit_size: int

    @property
    def units(self) -> int:
        """Number of units."""
        return columns_of(self.projection) // self.unit_size


def taylor(
    model: nn.Module, gated: Sequence[Gated], batches: Iterable[Batch], loss_of: LossOf
) -> list[torch.Tensor]:
    """Importance of each unit, float64 [units] on the CPU, for each of ``gated``: the mean of
    |dLoss/dgate| over the examples.

    The activations of each unit are multiplied by a gate of 1. This is a first-order estimate of
    how much the loss changes when the gate goes from 1 to 0, that is, when the unit is removed (for
    heads Michel et al. 2019, section 4.1; for neurons Molchanov et al. 2017, section 2.2). One
    backward pass scores all units; to remove each in turn would need a pass for each.

    ``loss_of`` gives a mean over the labels that are not IGNORED, and each batch
    has at least one such label. ``model`` is in evaluation mode: with dropout, gradients
    would depend on random numbers. The scores do not depend on how examples are batched
    (nearly so in a causal decoder, which shifts its labels). All estimate one loss, so those of
    different projections can be compared.

    Raises CompressError for a loss that is missing or not finite."""
    return _mean_of_gradients(model, gated, batches, loss_of, torch.abs)


def fisher(
    model: nn.Module, gated: Sequence[Gated], batches: Iterable[Batch], loss_of: LossOf
) -> list[torch.Tensor]:
    """Importance of each unit, float64 [units] on the CPU, for each of ``gated``: half the mean of
    (dLoss/dgate)^2 over the examples.

    That is the diagonal of the empirical Fisher information of the gates, which stands for the
    Hessian: in a minimum of the loss, a second-order estimate of how much it rises when the unit is
    removed (Kwon et al. 2022, "A Fast Post-Training Pruning Framework for Transformers", section
    4.1). Batches, ``loss_of`` and errors are as for ``taylor``."""
    return _mean_of_gradients(model, gated, batches, loss_of, lambda gradient: gradient**2 / 2)


def _mean_of_gradients(
    model: nn.Module,
    gated: Sequence[Gated],
    batches: Iterable[Batch],
    loss_of: LossOf,
    size: Callable[[torch.Tensor], torch.Tensor],
) -> list[torch.Tensor]:
    """The sizes of the gradients of the gates, over the number of labels."""
    totals = [torch.zeros(g.units, dtype=torch.float64) for g in gated]
    counted = 0
    with _gates(gated) as gates:
        for batch in batches:
            labels = labels_of(batch)
            gates[:] = _fresh_gates(batch, gated)
            # The loss is a mean over the labels of the batch. Times their number it is a
            # sum. So the gradient of an example has the same scale in a small batch as in a
            # large one.
            loss = _loss(model, batch, loss_of) * labels
            for total, grad in zip(totals, torch.autograd.grad(loss, gates), strict=True):
                # grad is [examples, units]. Its size comes before the sum: a unit may lower the
                # loss of one example and raise that of another. It matters to both, but a plain
                # sum would cancel. The sum is in float64, because it has thousands of small terms.
                total += size(grad.double()).sum(dim=0).cpu()  # -> [units]
            counted += labels
    return [total / counted for total in totals]


@torch.no_grad()
def losses_without(
    model: nn.Module, blocks: Sequence[nn.Module], batches: Sequence[Batch], loss_of: LossOf
) -> Iterator[float]:
    """Importance of each layer: the mean loss over the labels without that layer (nats for
    a cross-entropy), layer by layer.

    A skipped layer hands on its input, as in a model without it. This is the perplexity
    criterion of Kim et al. 2024, "Shortened LLaMA". Each layer is skipped alone, with all
    others in place: the effect of removing two together is not measured."""
    for block in blocks:
        hook = block.register_forward_hook(_skip, with_kwargs=True)
        try:
            yield _mean_loss(model, batches, loss_of)
        finally:
            hook.remove()


UnitCriterion = Callable[[nn.Module, Sequence[Gated], Iterable[Batch], LossOf], list[torch.Tensor]]
"""From a model, its output projections, batches and the loss of a batch: scores [units] of each
projection."""

LayerCriterion = Callable[
    [nn.Module, Sequence[nn.Module], Sequence[Batch], LossOf], Iterable[float]
]
"""From a model, its blocks, batches and the loss of a batch: a score of each block, one after the
other."""

UNIT_CRITERIA: Mapping[str, UnitCriterion] = MappingProxyType({"taylor": taylor, "fisher": fisher})
LAYER_CRITERIA: Mapping[str, LayerCriterion] = MappingProxyType({"losses_without": losses_without})


def labels_of(batch: Batch) -> int:
    """Number of labels over which the loss is a mean; the number of examples if the batch
    has no ``labels``."""
    labels = batch.get("labels")
    return _examples(batch) if labels is None else int((labels != IGNORED).sum())


def _examples(batch: Batch) -> int:
    return next(iter(batch.values())).shape[0]


def _fresh_gates(batch: Batch, gated: Sequence[Gated]) -> list[torch.Tensor]:
    """Gates of 1, float32 [examples, units], for each of ``gated``. Each example has its
    own gates. One gate for the whole batch would have the gradient of the batch's sum, in
    which examples cancel."""
    device = gated[0].projection.weight.device
    size = _examples(batch)
    return [torch.ones(size, g.units, device=device, requires_grad=True) for g in gated]


@contextmanager
def _gates(gated: Sequence[Gated]) -> Iterator[list[torch.Tensor]]:
    """A list for one gate tensor [examples, units] per projection. While the context is
    open, they multiply the inputs of the projections."""
    gates: list[torch.Tensor] = []
    hooks = []
    try:
        for i, g in enumerate(gated):
            hooks.append(g.projection.register_forward_pre_hook(_gate(gates, i, g.unit_size)))
        yield gates
    finally:
        for hook in hooks:
            hook.remove()


def _gate(
    gates: list[torch.Tensor], index: int, unit_size: int
) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], tuple[torch.Tensor, ...]]:
    def hook(module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        # Each column gets the gate of its unit: [examples, units] -> [examples, columns].
        columns = gates[index].repeat_interleave(unit_size, dim=1)
        # The same gate at each position: [examples, length, columns].
        return (args[0] * columns.unsqueeze(1), *args[1:])

    return hook


def _skip(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    """A hook that gives the block's input instead of its output. If the output is a tuple,
    only its first entry is replaced."""
    hidden = args[0] if args else kwargs["hidden_states"]
    return hidden if isinstance(output, torch.Tensor) else (hidden, *output[1:])


def _mean_loss(model: nn.Module, batches: Sequence[Batch], loss_of: LossOf) -> float:
    """The mean loss over all labels. In a mean of the batches' means, a label in a small
    batch would weigh more."""
    counts = [labels_of(batch) for batch in batches]
    losses = [
        float(_loss(model, batch, loss_of)) * count
        for batch, count in zip(batches, counts, strict=True)
    ]
    return sum(losses) / sum(counts)


def _loss(model: nn.Module, batch: Batch, loss_of: LossOf) -> torch.Tensor:
    loss = loss_of(model, batch)
    if loss is None:
        raise CompressError(
            "importance is measured by the training loss, and the training rows have no labels"
        )
    if not torch.isfinite(loss):
        raise CompressError(
            f"the loss on the training rows is {loss.item()}, so that importance cannot be measured"
        )
    return loss
