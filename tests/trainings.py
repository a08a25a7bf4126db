"""What a training is given by tests: rows, an end in the middle of it, and a judge of its
epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tiny import LABELS, read, sentences, task_named
from torch import Tensor

from compress.task import Row, Task

OPTIONS = {"epochs": 2, "batch_size": 4, "learning_rate": 5e-3, "precision": "fp32"}
"""Seven batches an epoch of the 26 rows."""


class Interrupted(Exception):
    """What a test raises in the middle of a training."""


@dataclass
class Given:
    """What a stage is given, as far as training reads it."""

    work: Path
    task: Task[Any] = field(default_factory=lambda: task_named("text-classification"))
    validates: bool = True
    seed: int = 11
    stop_at: int | None = None
    steps: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    labels: tuple[str, ...] = LABELS

    @property
    def data(self) -> Given:
        return self

    def rows(self, split: str) -> list[Row]:
        if split == "validation" and not self.validates:
            return []
        return read(
            sentences(26 if split == "train" else 9, {"train": 0, "validation": 3}[split]),
            self.task,
            LABELS,
            split,
        )

    def progress(self, done: int, total: int, text: str, **values: float) -> None:
        self.steps.append(done)
        if done == self.stop_at:
            raise Interrupted

    def note(self, text: str) -> None:
        self.notes.append(text)


class Judge:
    """Scores a task's answers with given qualities, one for each evaluation; a resumed training
    goes on where it is."""

    def __init__(self, qualities: list[float]) -> None:
        self.qualities, self.count = qualities, 0

    def task(self, first: int = 0) -> Task[Any]:
        task = task_named("text-classification")
        self.count = first
        score = type(task).score

        def scored(*args: Any) -> Any:
            self.count += 1
            found = score(task, *args)
            return type(found)(
                {**found.metrics, "accuracy": self.qualities[self.count - 1]}, found.per_class
            )

        task.score = scored  # type: ignore[method-assign]
        return task


def equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())
