"""Processes that are kept from step to step of a run.

The reference takes turns with each step, and most steps with the step before. Their processes have
opened the artifact as saved, and hold several loads of it. To make them anew for each step would
measure the same again, and takes a third of the time of a short step's measuring.

A step itself is always measured in a process that has just started. A thorough run keeps none: its
intervals are to hold what stays with a process. Beside a GPU none is kept, because the next step
needs its memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

import psutil

from compress.errors import CompressError
from compress.machine import gpus
from compress.measure.side import Side
from compress.meter import Effort
from compress.workers.memory import free_memory
from compress.workers.protocol import ProbeArtifact

_SHARE = 1 / 4
"""The share of the memory that is free which kept processes may hold while steps are made."""


class KeptSides:
    """The processes that a run keeps, at an effort. All end with the ``with`` block."""

    def __init__(self, effort: Effort) -> None:
        self._keeps = effort != "thorough" and not gpus()
        self._sides: list[Side] = []

    def __enter__(self) -> KeptSides:
        return self

    def __exit__(self, *error: object) -> None:
        for side in self._sides:
            _dismiss(side)

    def take(self, jobs: Iterable[ProbeArtifact]) -> dict[str, Side]:
        """The processes that have opened the subjects of ``jobs``, by the subject's name, without
        those that are not kept. All other kept processes end."""
        taken = {}
        for job in jobs:
            side = next((s for s in self._sides if _opened_the_same(s, job)), None)
            if side is not None and side.worker.process.poll() is None:
                self._sides.remove(side)
                taken[job.subject.name] = replace(side, job=job)
        for side in self._sides:
            _dismiss(side)
        self._sides = []
        return taken

    def keep(self, sides: Iterable[Side]) -> None:
        """Keep those that fit into memory, the smallest first. The others end."""
        room = free_memory() * _SHARE if self._keeps else 0.0
        for held, side in sorted(((_memory(s), s) for s in sides), key=lambda pair: pair[0]):
            if held <= room:
                self._sides.append(side)
                room -= held
            else:
                _dismiss(side)


def _dismiss(side: Side) -> None:
    with suppress(CompressError):  # it has ended already
        side.end()


def _opened_the_same(side: Side, job: ProbeArtifact) -> bool:
    """Whether the process has opened what the job asks for; what it is compared with, and what it
    is called, does not matter to it."""
    subject = job.subject
    known = replace(
        side.job.subject, name=subject.name, compared=subject.compared, parent=subject.parent
    )
    return replace(side.job, subject=known) == job


def _memory(side: Side) -> float:
    """The bytes that end with the process; infinite if the system does not say."""
    try:
        return float(psutil.Process(side.worker.process.pid).memory_full_info().uss)
    except psutil.Error:
        return float("inf")
