"""What a training tells while it runs, when it keeps a checkpoint within an epoch, and how it ends
early."""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from compress.stage import Context
from compress.training.clock import TrainingClock
from compress.training.ending import EndRequest

_CHECKPOINT_SECONDS = 600
"""The age of the last checkpoint at which another is written within an epoch."""


class Reporter(TrainerCallback):
    """Reports progress to the user, asks for a checkpoint if the last one is old, and ends the
    training with a checkpoint if ``ending`` is asked.

    ``validation_share`` is the number of validation rows as a share of the training rows."""

    def __init__(
        self, context: Context[Any], headline: str, ending: EndRequest, validation_share: float
    ) -> None:
        self._context, self._headline, self._ending = context, headline, ending
        self._values: dict[str, float] = {}
        self._saved = time.monotonic()
        self._clock = TrainingClock(validation_share)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start to count the time of a step."""
        self._clock.begin()

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note how long the validation took."""
        self._clock.validation_is_done()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report progress; ask for a checkpoint when the last is ten minutes old, or when the
        training is to end."""
        self._clock.step_is_done()
        left = self._clock.remaining(args, state)
        self._context.progress(
            state.global_step, state.max_steps, "", remaining=left, **self._values
        )
        # At the end of an epoch Trainer saves by itself, after the evaluation. A checkpoint from
        # before it would be continued without that evaluation.
        ends_epoch = float(state.epoch or 0).is_integer()
        is_old = time.monotonic() - self._saved > _CHECKPOINT_SECONDS
        if any(self._context.gather(is_old or self._ending.asked)) and not ends_epoch:
            control.should_save = True  # in all processes: a checkpoint is written by all at once

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start to count the time to the next checkpoint. Raises ``Ended`` if the training is to
        end: the checkpoint is complete."""
        self._saved = time.monotonic()
        self._clock.checkpoint_is_done()
        self._ending.asked = any(self._context.gather(self._ending.asked))
        if self._ending.asked:
            self._context.note(
                f"kept the training at step {state.global_step} of {state.max_steps}; the same "
                "command goes on from there"
            )
        self._ending.obey()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Any = None,
        **kwargs: Any,
    ) -> None:
        """Keep the latest loss and quality, which ``progress`` shows."""
        for key, shown in (("loss", "loss"), (f"eval_{self._headline}", self._headline)):
            if logs and key in logs:
                self._values[shown] = float(logs[key])
