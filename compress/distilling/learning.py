"""A training on what teachers answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from compress.distilling.attending import attended
from compress.distilling.contract import refuse_without_states
from compress.distilling.loss import DistillationLoss, OwnTargets, asked_of
from compress.distilling.matching import Place, Sides, all_matched, projected
from compress.distilling.menu import HiddenLoss, Lesson, LossItem, needs_teacher, of_kind
from compress.edits import Edit
from compress.errors import UsageError
from compress.processor import Processor
from compress.stage import Context, Data
from compress.task import Row
from compress.teacher import TeacherOutputs
from compress.teachers import TeacherWeight, several_outputs
from compress.training import TrainingFacts, TrainingOptions, fit


def learn(
    model: PreTrainedModel,
    context: Context[Any],
    options: TrainingOptions,
    lesson: Lesson,
    teachers: Sequence[TeacherWeight],
    *,
    edits: Sequence[Edit],
    processor: Processor,
    data: Data,
    own: OwnTargets | None,
    truth: Sequence[bool],
    work: Path | None,
) -> TrainingFacts:
    """Train ``model`` in place, as ``compress.distilling.fit_to_teachers`` describes it."""
    losses = lesson.losses
    if own is not None:  # what a teacher answers to it cannot be known before
        lesson = replace(lesson, keep="nothing")
    refuse_without_states(model, losses)
    _refuse_learned_layers(losses, context.world)
    sides = Sides.of(model, edits, teachers[0].artifact, context.architectures)
    outputs = _outputs(context, lesson, teachers, data, processor, sides.layers)
    if not any(each.logits or each.labels for each in losses):
        # Its head learns nothing, so that the quality of an epoch says nothing of the others.
        data, options = _Unjudged(data), options.model_copy(update={"patience": None})
    with ExitStack() as stack:
        stack.enter_context(projected(model, all_matched(losses, sides.layers), sides))
        beside = None
        if needs_teacher(losses):
            assert outputs is not None and outputs.model is not None, "the teacher is in memory"
            beside = stack.enter_context(
                attended(model, outputs.model, losses, sides.layers, context.architectures)
            )
        loss = DistillationLoss(
            outputs,
            losses,
            context.task,
            own,
            truth,
            layers=sides.layers,
            attended=beside,
            is_shared=context.world > 1,
        )
        return fit(
            model,
            context,
            options,
            loss=loss,
            processor=processor,
            data=data,
            groups=truth,
            work=work,
        )


def _refuse_learned_layers(losses: Sequence[LossItem], processes: int) -> None:
    """Raise UsageError where several processes would each choose layers, by their own rows alone:
    the student would not be the one that a single process trains."""
    if processes > 1 and any(each.layers == "learned" for each in of_kind(losses, HiddenLoss)):
        raise UsageError(
            f"losses: layers: learned chooses by the whole batch, and {processes} processes have a "
            "part of it each: take layers: uniform, or one process"
        )


class _Unjudged:
    """Data without validation rows: a training keeps its last weights."""

    def __init__(self, data: Data) -> None:
        self._data, self.labels, self.digest = data, data.labels, data.digest

    def rows(self, split: str) -> Sequence[Row]:
        """The rows of another split."""
        return [] if split == "validation" else self._data.rows(split)


def _outputs(
    context: Context[Any],
    lesson: Lesson,
    teachers: Sequence[TeacherWeight],
    data: Data,
    processor: Processor,
    layers: Place | None,
) -> TeacherOutputs | None:
    """What the losses compare. None if they ask nothing of the teachers."""
    asked = asked_of(lesson, layers)
    if not asked.answers and not asked.states and not needs_teacher(lesson.losses):
        return None
    return several_outputs(context, teachers, "train", asked, processor, data)
