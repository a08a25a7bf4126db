"""How much a model's loss depends on its parts, measured on data.

A *unit* (a neuron, a head, a group of heads) is a run of columns of an output projection. A gate of
1 multiplies the unit's activations; the importance of the unit is the mean over the data of
|dLoss/dgate|, the first-order estimate of how the loss changes when the unit goes: for heads Michel
et al. 2019, section 4.1, for neurons Molchanov et al. 2017, section 2.2. Each example has gates of
its own, so that examples with opposite gradients do not cancel.

A *block* is scored by the loss without it (the perplexity criterion of Kim et al. 2024, "Shortened
LLaMA").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from compress.errors import CompressError
from compress.task import IGNORED

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Gated:
    """An output projection whose input columns are units of ``unit_size`` columns each (1 for
    neurons)."""

    projection: nn.Linear
    unit_size: int

    @property
    def units(self) -> int:
        """Number of units."""
        return self.projection.in_features // self.unit_size


def unit_importance(
    model: nn.Module, gated: Sequence[Gated], batches: Iterable[Batch]
) -> list[torch.Tensor]:
    """Importance of each unit, float64 [units] on the CPU, for each of ``gated``.

    ``model`` is in evaluation mode and gives ``.loss`` for ``model(**batch)``, a mean over the
    labels that are not IGNORED, of which each batch has one at least. The scores do not depend on
    how examples are batched; in a causal decoder, which shifts its labels, nearly so. Raises
    CompressError for a loss that is missing or not finite."""
    totals = [torch.zeros(g.units, dtype=torch.float64) for g in gated]
    counted = 0
    with _gates(gated) as gates:
        for batch in batches:
            size, device = next(iter(batch.values())).shape[0], gated[0].projection.weight.device
            gates[:] = [torch.ones(size, g.units, device=device, requires_grad=True) for g in gated]
            labels = labels_of(batch)
            # The mean over labels times their number: each example's gradient then has the same
            # scale in any batch.
            for total, grad in zip(
                totals, torch.autograd.grad(_loss(model, batch) * labels, gates), strict=True
            ):
                total += grad.abs().double().sum(dim=0).cpu()  # [examples, units] -> [units]
            counted += labels
    return [total / counted for total in totals]


@torch.no_grad()
def losses_without(
    model: nn.Module, blocks: Sequence[nn.Module], batches: Sequence[Batch]
) -> Iterator[float]:
    """Mean loss over the labels (nats for a cross-entropy) with each of ``blocks`` skipped, block
    by block."""
    for block in blocks:
        hook = block.register_forward_hook(_skip, with_kwargs=True)
        try:
            yield _mean_loss(model, batches)
        finally:
            hook.remove()


def labels_of(batch: Batch) -> int:
    """Number of labels over which the loss is a mean; of examples where the labels go by another
    name."""
    labels = batch.get("labels")
    return next(iter(batch.values())).shape[0] if labels is None else int((labels != IGNORED).sum())


@contextmanager
def _gates(gated: Sequence[Gated]) -> Iterator[list[torch.Tensor]]:
    """A list to put gates [examples, units] into, which then multiply the inputs of the
    projections."""
    gates: list[torch.Tensor] = []
    hooks = []
    try:
        for i, g in enumerate(gated):
            hooks.append(g.projection.register_forward_pre_hook(_gate(gates, i, g.unit_size)))
        yield gates
    finally:
        for hook in hooks:
            hook.remove()


def _gate(gates: list[torch.Tensor], index: int, unit_size: int) -> Any:
    def hook(module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        columns = gates[index].repeat_interleave(
            unit_size, dim=1
        )  # [examples, units] -> [examples, columns]
        return (args[0] * columns.unsqueeze(1), *args[1:])  # [examples, length, columns]

    return hook


def _skip(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    hidden = args[0] if args else kwargs["hidden_states"]
    return hidden if isinstance(output, torch.Tensor) else (hidden, *output[1:])


def _mean_loss(model: nn.Module, batches: Sequence[Batch]) -> float:
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
