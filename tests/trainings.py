"""Stand-ins for a training: a context that can stop it in the middle, and a judge that sets the
quality of each epoch."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tiny import LABELS, read, sentences, task_named
from torch import Tensor

from compress.ranks import Alone
from compress.task import Row, Task

OPTIONS = {"epochs": 2, "batch_size": 4, "learning_rate": 5e-3, "precision": "fp32"}
"""An epoch of the 26 training rows has seven batches."""


class Interrupted(Exception):
    """Raised in the middle of a training, to stop it."""


@dataclass
class Given(Alone):
    """A stage's context, as far as training reads it. Raises Interrupted at the step
    ``stop_at``, and asks this process to end at the step ``ask_at``."""

    work: Path
    task: Task[Any] = field(default_factory=lambda: task_named("text-classification"))
    validates: bool = True
    seed: int = 11
    stop_at: int | None = None
    ask_at: int | None = None
    steps: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    labels: tuple[str, ...] = LABELS

    @property
    def data(self) -> Given:
        """The context itself, which holds the rows."""
        return self

    def rows(self, split: str) -> list[Row]:
        """26 rows for training, 9 for validation, or none where it does not validate."""
        if split == "validation" and not self.validates:
            return []
        count, seed = {"train": (26, 0), "validation": (9, 3)}[split]
        return read(sentences(count, seed), self.task, LABELS, split)

    def progress(self, done: int, total: int, text: str, **values: float) -> None:
        """Keep the step; raise Interrupted at ``stop_at``, and send SIGTERM at ``ask_at``."""
        self.steps.append(done)
        if done == self.stop_at:
            raise Interrupted
        if done == self.ask_at:
            os.kill(os.getpid(), signal.SIGTERM)

    def note(self, text: str) -> None:
        """Keep the note."""
        self.notes.append(text)


class Judge:
    """Scores each evaluation with the next of the given ``qualities``."""

    def __init__(self, qualities: list[float]) -> None:
        self.qualities, self.count = qualities, 0

    def task(self, first: int = 0) -> Task[Any]:
        """A task that this judge scores. A resumed training starts at the evaluation ``first``."""
        task = task_named("text-classification")
        self.count = first
        score = type(task).score

        def scored(*args: Any) -> Any:
            self.count += 1
            true = score(task, *args)
            metrics = {**true.metrics, "accuracy": self.qualities[self.count - 1]}
            return type(true)(metrics, true.per_class)

        task.score = scored  # type: ignore[method-assign]
        return task


def equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether ``other`` holds the same bits for each tensor of ``one``."""
    return all(torch.equal(value, other[name]) for name, value in one.items())
