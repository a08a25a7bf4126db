"""Learning from a teacher, for every stage whose model learns what another one answers.

A recipe lists the losses. ``fit_to_teachers`` asks the teachers what the losses compare, and trains
a model on them. It imports torch, this module does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.distilling.contract import refuse_strangers, refuse_without_states
from compress.distilling.menu import (
    AttendingLoss,
    HiddenLoss,
    LabelsLoss,
    Lesson,
    LogitsLoss,
    LossItem,
    LossOptions,
    default_losses,
    needs_all,
    needs_teacher,
    of_kind,
)
from compress.distilling.mistakes import loss_mistakes, several_temperatures
from compress.edits import Edit
from compress.processor import Processor
from compress.stage import Context, Data
from compress.training import TrainingFacts, TrainingOptions

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from compress.distilling.loss import OwnTargets
    from compress.teachers import TeacherWeight


def fit_to_teachers(
    model: PreTrainedModel,
    context: Context[Any],
    options: TrainingOptions,
    lesson: Lesson,
    teachers: Sequence[TeacherWeight],
    *,
    edits: Sequence[Edit] = (),
    processor: Processor,
    data: Data,
    own: OwnTargets | None = None,
    truth: Sequence[bool] = (),
    work: Path | None = None,
) -> TrainingFacts:
    """Train ``model`` in place on what ``teachers`` answer to the train split of ``data``, as
    ``compress.training.fit`` does; facts for the notes of its manifest come back.

    ``edits`` are those of the model in memory, ``processor`` makes its features. ``own`` gives some
    batches targets that the model wrote; ``truth`` tells of each training row whether its target is
    true (empty: all are). Where no loss trains the head, the training keeps its last weights, not
    those of the best quality.

    Raises UsageError where teacher and model cannot be compared."""
    from compress.distilling.learning import learn

    return learn(
        model,
        context,
        options,
        lesson,
        teachers,
        edits=edits,
        processor=processor,
        data=data,
        own=own,
        truth=truth,
        work=work,
    )


__all__ = [
    "AttendingLoss",
    "HiddenLoss",
    "LabelsLoss",
    "Lesson",
    "LogitsLoss",
    "LossItem",
    "LossOptions",
    "default_losses",
    "fit_to_teachers",
    "loss_mistakes",
    "needs_all",
    "needs_teacher",
    "of_kind",
    "refuse_strangers",
    "refuse_without_states",
    "several_temperatures",
]
