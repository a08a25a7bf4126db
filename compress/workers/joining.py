"""Connecting the processes that do one step together, by torch.distributed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed
from torch.distributed import TCPStore  # type: ignore[attr-defined]

T = TypeVar("T")

_LONGEST_WAIT = timedelta(days=30)
"""How long a process waits for what another makes. A teacher may answer for hours; a process that
has ended is noticed by whoever started it."""
_ASKING = timedelta(seconds=10)
"""How long a process that has failed waits to hear whether it was the first."""


def fails_first() -> bool:
    """Whether this process, which has failed, is the first that did. Each asks once.

    The store of the launcher counts them, wherever they run. One that fails because another has
    ended is not the first: that one asked before it ended. False where the store is gone."""
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        store = TCPStore(host, port, wait_for_workers=False, timeout=_ASKING)
        return int(store.add("failed", 1)) == 1
    except RuntimeError:
        return False


@dataclass(frozen=True)
class Joint:
    """One of several processes, as ``compress.ranks.Ranks`` describes it. ``group`` connects them
    over the CPU, whatever computes."""

    rank: int
    world: int
    group: Any

    @classmethod
    def join(cls) -> Joint:
        """Connect this process with the others. Its rank and their number are in the environment
        that torchrun's launcher sets. With GPUs it gets the one of its number on this machine."""
        backend = "gloo"
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
            backend = "cpu:gloo,cuda:nccl"
        distributed.init_process_group(backend)
        group = distributed.new_group(backend="gloo", timeout=_LONGEST_WAIT)
        return cls(distributed.get_rank(), distributed.get_world_size(), group)

    def first(self, make: Callable[[], T]) -> T:
        """What ``make()`` returns on rank 0."""
        made = [make() if self.rank == 0 else None]
        distributed.broadcast_object_list(made, src=0, group=self.group)
        return made[0]  # type: ignore[return-value]

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank."""
        values: list[Any] = [None] * self.world
        distributed.all_gather_object(values, value, group=self.group)
        return values
