"""Criteria of importance: how much a model's loss depends on its parts, measured on data.

A *unit* (a neuron, a head, a group of heads) is a run of adjacent input columns of an
output projection. A *layer* is a whole transformer block.

A new criterion is one function and one entry in ``UNIT_CRITERIA`` or ``LAYER_CRITERIA``. Of
every criterion the units or layers with the highest scores stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from compress.errors import CompressError
from compress.task import IGNORED

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Gated:
    """An output projection whose input columns are units of ``unit_size`` columns each (1
    for neurons, the head size for heads)."""

    projection: nn.Linear
    unit_size: int

    @property
    def units(self) -> int:
        """Number of units."""
        return self.projection.in_features // self.unit_size


def gate_gradients(
    model: nn.Module, gated: Sequence[Gated], batches: Iterable[Batch]
) -> list[torch.Tensor]:
    """Importance of each unit, float64 [units] on the CPU, for each of ``gated``.

    A gate of 1 multiplies the activations of each unit; the score is the mean over the data
    of |dLoss/dgate|. That is the first-order estimate of how the loss changes when the gate
    goes to 0, that is, when the unit is removed: for heads Michel et al. 2019, section 4.1,
    for neurons Molchanov et al. 2017, section 2.2.

    ``model`` is in evaluation mode and gives ``.loss`` for ``model(**batch)``: a mean over
    the labels that are not IGNORED, of which each batch has at least one. The scores do not
    depend on how examples are batched (nearly so in a causal decoder, which shifts its
    labels). Raises CompressError for a loss that is missing or not finite."""
    totals = [torch.zeros(g.units, dtype=torch.float64) for g in gated]
    counted = 0
    with _gates(gated) as gates:
        for batch in batches:
            labels = labels_of(batch)
            gates[:] = _fresh_gates(batch, gated)
            # The loss is a mean over the labels of the batch. Times their number it is a
            # sum, so that an example's gradient has the same scale in a small batch as in a
            # large one.
            loss = _loss(model, batch) * labels
            for total, grad in zip(totals, torch.autograd.grad(loss, gates), strict=True):
                # grad [examples, units]. The absolute value comes before the sum: a unit
                # that lowers the loss of one example and raises that of another matters to
                # both, and their gradients would cancel. Sums in float64, for thousands of
                # small numbers.
                total += grad.abs().double().sum(dim=0).cpu()  # -> [units]
            counted += labels
    return [total / counted for total in totals]


@torch.no_grad()
def losses_without(
    model: nn.Module, blocks: Sequence[nn.Module], batches: Sequence[Batch]
) -> Iterator[float]:
    """Importance of each layer: the mean loss over the labels without it (nats for a
    cross-entropy), layer by layer.

    A skipped layer hands its input on, as the stack without it would. This is the
    perplexity criterion of Kim et al. 2024, "Shortened LLaMA". Each layer is judged alone,
    in the model with all others: what the removal of two does together is not measured."""
    for block in blocks:
        hook = block.register_forward_hook(_skip, with_kwargs=True)
        try:
            yield _mean_loss(model, batches)
        finally:
            hook.remove()


UnitCriterion = Callable[[nn.Module, Sequence[Gated], Iterable[Batch]], list[torch.Tensor]]
"""Scores [units] for each of the projections."""

LayerCriterion = Callable[[nn.Module, Sequence[nn.Module], Sequence[Batch]], Iterable[float]]
"""A score for each of the blocks."""

UNIT_CRITERIA: Mapping[str, UnitCriterion] = MappingProxyType({"gate_gradients": gate_gradients})
LAYER_CRITERIA: Mapping[str, LayerCriterion] = MappingProxyType({"losses_without": losses_without})


def labels_of(batch: Batch) -> int:
    """Number of labels over which the loss is a mean; the number of examples where the
    labels go by another name."""
    labels = batch.get("labels")
    return _examples(batch) if labels is None else int((labels != IGNORED).sum())


def _examples(batch: Batch) -> int:
    return next(iter(batch.values())).shape[0]


def _fresh_gates(batch: Batch, gated: Sequence[Gated]) -> list[torch.Tensor]:
    """Gates [examples, units] of 1. Each example has gates of its own: one gate for the
    whole batch would only give the gradient of the batch's sum, in which examples
    cancel."""
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
        # [examples, units] -> [examples, columns]: a unit's gate stands over each of its
        # columns.
        columns = gates[index].repeat_interleave(unit_size, dim=1)
        return (args[0] * columns.unsqueeze(1), *args[1:])  # [examples, length, columns]

    return hook


def _skip(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    """The block's input in the place of its output, which may be a tuple with other
    things."""
    hidden = args[0] if args else kwargs["hidden_states"]
    return hidden if isinstance(output, torch.Tensor) else (hidden, *output[1:])


def _mean_loss(model: nn.Module, batches: Sequence[Batch]) -> float:
    """The mean over all labels: a mean of the batches' means would weigh a label in a small
    batch more."""
    counts = [labels_of(batch) for batch in batches]
    losses = [
        float(_loss(model, batch)) * count for batch, count in zip(batches, counts, strict=True)
    ]
    return sum(losses) / sum(counts)


def _loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    loss: torch.Tensor | None = model(**batch).loss
    if loss is None:
        raise CompressError(
            "importance is measured by the training loss, and the training rows have no labels"
        )
    if not torch.isfinite(loss):
        raise CompressError(
            f"the loss on the training rows is {loss.item()}, so that importance cannot be measured"
        )
    return loss
