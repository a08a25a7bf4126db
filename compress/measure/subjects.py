"""Subjects: the artifacts that are measured, and the requests to measure them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.store.prepared import Prepared
from compress.workers.protocol import Chosen


@dataclass(frozen=True)
class Subject:
    """An artifact that a process of its own opens, with the task and data that it is measured on.

    ``slowdown`` is a share of its time by which each call is prolonged, to check that the
    instrument finds it."""

    name: str
    folder: Path
    task: Chosen
    data: Prepared | None
    slowdown: float = 0.0


@dataclass(frozen=True)
class Request:
    """A subject to measure, with the names of the subjects to compare it with, and of the
    ``parent`` that it was made from."""

    subject: Subject
    compared: Sequence[str] = ()
    parent: str | None = None
