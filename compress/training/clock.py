"""How long a training still takes: its steps, its validations and its checkpoints."""

from __future__ import annotations

import math
import time

from transformers import TrainerState, TrainingArguments

_FORWARD_SHARE = 1 / 3
"""The share of a training step that its forward pass takes: the backward pass has two matrix
products for each of the forward one."""


class TrainingClock:
    """Adds up the seconds of steps, validations and checkpoints, each apart.

    A time that is drawn from steps alone jumps at each validation, which is no step. Until the
    first validation is measured, it is taken for a forward pass over ``validation_share`` as many
    rows as an epoch has."""

    def __init__(self, validation_share: float) -> None:
        self._validation_share = validation_share
        self._steps, self._stepping = 0, 0.0
        self._validation: float | None = None
        self._checkpoint = 0.0
        self._mark = time.monotonic()

    def begin(self) -> None:
        """Start to count."""
        self._mark = time.monotonic()

    def step_is_done(self) -> None:
        """What passed was a step."""
        self._steps += 1
        self._stepping += self._passed()

    def validation_is_done(self) -> None:
        """What passed was a validation."""
        self._validation = self._passed()

    def checkpoint_is_done(self) -> None:
        """What passed was the writing of a checkpoint."""
        self._checkpoint = self._passed()

    def remaining(self, args: TrainingArguments, state: TrainerState) -> float:
        """Seconds until the training is done, called at the end of a step."""
        step = self._stepping / max(1, self._steps)
        epoch = step * state.max_steps / args.num_train_epochs
        validation = self._validation
        if validation is None:
            validation = epoch * self._validation_share * _FORWARD_SHARE
        ends = _epoch_ends(args, state)
        steps = state.max_steps - state.global_step
        return step * steps + ends * (validation + self._checkpoint)

    def _passed(self) -> float:
        now = time.monotonic()
        passed, self._mark = now - self._mark, now
        return passed


def _epoch_ends(args: TrainingArguments, state: TrainerState) -> int:
    """Epochs whose end, with its validation, is still to come."""
    epoch = float(state.epoch or 0)
    return math.ceil(args.num_train_epochs) - math.ceil(epoch) + 1
