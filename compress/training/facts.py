"""The facts of a training. No torch."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class TrainingFacts(TypedDict):
    """Facts of one training, JSON-ready, for the manifest's ``notes``.

    ``training_seconds`` is absent if the training continued from a checkpoint: the seconds
    before it are not known. ``best_validation`` (the headline metric) and
    ``best_step`` are absent without a validation split, ``processes`` where there was one."""

    steps: int
    precision: Literal["bf16", "fp32"]
    processes: NotRequired[int]
    training_seconds: NotRequired[float]
    best_validation: NotRequired[float]
    best_step: NotRequired[int]
