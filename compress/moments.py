"""Mean and covariance of the states of a model on data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from compress.task import IGNORED

Batch = Mapping[str, Tensor]
_RIDGE = 1e-3
"""Added to variances, as a share of their mean, so that a regression on few examples is not
wild."""


@dataclass
class Moments:
    """Sums over states [n, width], in float64: of each place, and of each product of two."""

    count: int = 0
    total: Any = 0.0
    products: Any = 0.0

    def add(self, states: Tensor) -> None:
        """Count some states, [n, width]."""
        states = states.double()
        self.count += len(states)
        self.total = self.total + states.sum(0)
        self.products = self.products + states.T @ states

    def covariance(self) -> Tensor:
        """[width, width]."""
        mean = self.total / self.count
        spread: Tensor = self.products / self.count - torch.outer(mean, mean)
        return spread

    def regression(self, kept: Sequence[int], constant: bool) -> tuple[Tensor, Tensor]:
        """A [width, kept] and b [width], so that a state x is about A x_S + b. b is zero without
        ``constant``."""
        mean = self.total / self.count
        spread = self.covariance() if constant else self.products / self.count
        index = torch.tensor(kept, device=mean.device)
        own = spread[index][:, index]
        own = own + torch.eye(len(kept), device=own.device) * (_RIDGE * own.diagonal().mean())
        weights = torch.linalg.solve(own, spread[index]).T
        shift = mean - weights @ mean[index] if constant else torch.zeros_like(mean)
        return weights, shift


@dataclass(frozen=True)
class Readers:
    """The moments of what layers read, by the name of a layer, and the name of the layer that each
    one shares its input with."""

    moments: Mapping[str, Moments] = field(default_factory=dict)
    owner: Mapping[str, str] = field(default_factory=dict)

    def of(self, name: str) -> Moments | None:
        """The moments of what a layer reads; None for one that was not run."""
        return self.moments.get(self.owner.get(name, ""))


def counted(states: Tensor, batch: Batch) -> Tensor:
    """The states of tokens that count, [n, width]: those of the mask of a batch, or of its labels,
    that has their shape; else all."""
    labels = batch.get("labels")
    masks = [batch.get("attention_mask"), None if labels is None else labels != IGNORED]
    for mask in masks:
        if mask is not None and mask.shape == states.shape[:-1]:
            return states[mask.bool()]
    return states.reshape(-1, states.shape[-1])
