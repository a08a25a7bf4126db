"""The processes that do one job together, as each of them sees the others.

torch.distributed connects them. It is imported where there are several; a process that works alone
needs none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

_LONGEST_WAIT = timedelta(days=30)
"""How long a process waits for what another makes. A teacher may answer for hours; a process that
has ended is noticed by whoever started it."""


class Ranks(Protocol):
    """``rank`` is this process's number, from 0, among ``world``. Every process must make the same
    calls in the same order: each call waits for all of them."""

    @property
    def rank(self) -> int:
        """This process's number."""
        ...

    @property
    def world(self) -> int:
        """How many there are."""
        ...

    def first(self, make: Callable[[], T]) -> T:
        """What ``make()`` returns on rank 0, which alone calls it."""
        ...

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank."""
        ...


class Alone:
    """A process that has no others."""

    rank, world = 0, 1

    def first(self, make: Callable[[], T]) -> T:
        """What ``make()`` returns."""
        return make()

    def gather(self, value: T) -> list[T]:
        """The value alone."""
        return [value]


@dataclass(frozen=True)
class Joint:
    """One of several processes. ``group`` connects them over the CPU, whatever computes."""

    rank: int
    world: int
    group: Any

    @classmethod
    def join(cls) -> Joint:
        """Connect this process with the others. Its rank and their number are in the environment
        that torchrun's launcher sets. With GPUs it gets the one of its number on this machine."""
        import os

        import torch
        from torch import distributed

        backend = "gloo"
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
            backend = "cpu:gloo,cuda:nccl"
        distributed.init_process_group(backend)
        group = distributed.new_group(backend="gloo", timeout=_LONGEST_WAIT)
        return cls(distributed.get_rank(), distributed.get_world_size(), group)

    def first(self, make: Callable[[], T]) -> T:
        """As ``Ranks`` describes it; what is made must be picklable."""
        from torch import distributed

        made = [make() if self.rank == 0 else None]
        distributed.broadcast_object_list(made, src=0, group=self.group)
        return made[0]  # type: ignore[return-value]

    def gather(self, value: T) -> list[T]:
        """As ``Ranks`` describes it; the value must be picklable."""
        from torch import distributed

        values: list[Any] = [None] * self.world
        distributed.all_gather_object(values, value, group=self.group)
        return values
