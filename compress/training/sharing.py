"""What several processes of one training make of their parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from compress.training.options import Term

T = TypeVar("T")


class Transparent(DistributedDataParallel):
    """torch's wrapper of a shared model, with the attributes of the model, such as ``config``: a
    loss need not know that it is wrapped."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.module, name)


def transparent(model: Any) -> Any:
    """``model`` itself; if it is wrapped, its wrapper is now ``Transparent``."""
    if type(model) is DistributedDataParallel:
        model.__class__ = Transparent
    return model


def sum_of(terms: Sequence[Term]) -> Tensor:
    """The loss of one process, a scalar."""
    total, *others = [term.value for term in terms]
    for value in others:
        total = total + value
    return total


def shared_loss(terms: Sequence[Term]) -> Tensor:
    """The loss of this process, a scalar, scaled so that the mean over the processes, which is
    taken of gradients and of the loss that is shown, is the loss of the whole batch.

    A term of the whole batch is a mean over the things of all processes, and this one has its share
    of them. The mean of the processes' own means would be another number: a label would weigh more
    where there are few. Every process calls it at once, with as many terms."""
    values = torch.stack([term.value.float() for term in terms])
    counts = values.new_tensor([term.count for term in terms])
    totals = counts.clone()
    distributed.all_reduce(totals)
    shares = counts * distributed.get_world_size() / totals.clamp(min=1)
    # A mean over nothing is not a number, and stays none times 0.
    return torch.where(counts > 0, values * shares, 0.0).sum()


def dealt_back(parts: Sequence[Sequence[T]]) -> list[T]:
    """The items that were dealt one by one to several processes, in their order."""
    items = []
    for i in range(max(map(len, parts))):
        items += [part[i] for part in parts if i < len(part)]
    return items
