"""Training after a cut: on the true labels, or on what the model answered before it. ``recover``
imports torch, this module does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field

from compress.distilling import (
    Lesson,
    LossItem,
    default_losses,
    fit_to_teachers,
    loss_mistakes,
    refuse_strangers,
    several_temperatures,
)
from compress.edits import Edit
from compress.options import ArtifactReference
from compress.stage import Context, OptionMistake
from compress.training import TrainingFacts, TrainingOptions, fit

_TEACHER, _LOSSES = "recover.teacher", "recover.distill"


class RecoveryOptions(TrainingOptions):
    """The options of a fine-tuning, and whether a teacher is learned from."""

    distill: bool | Annotated[list[LossItem], Field(min_length=1)] = Field(
        default=False,
        description=(
            "Learn what the model answered before the cut, and its last hidden states, in place of "
            "the true labels; or a list of losses, as those of distill: [logits, labels]."
        ),
    )
    teacher: ArtifactReference | None = Field(
        default=None,
        description="With distill: another model to learn from, a step, folder or hub id.",
    )

    @property
    def lesson(self) -> Lesson | None:
        """What is learned of a teacher; None if nothing is."""
        if isinstance(self.distill, list):
            return Lesson(self.distill)
        return Lesson(default_losses()) if self.distill else None


def recovery_mistakes(options: RecoveryOptions | None) -> list[OptionMistake]:
    """A teacher of whom nothing is learned, and losses that do not go together."""
    return list(_mistakes(options)) if options is not None else []


def _mistakes(options: RecoveryOptions) -> Iterator[OptionMistake]:
    lesson = options.lesson
    if lesson is not None:
        if all(loss.labels for loss in lesson.losses):
            yield OptionMistake(_LOSSES, "nothing of the teacher is learned", "leave distill out")
        yield from loss_mistakes(lesson.losses, _LOSSES)
        if several_temperatures(lesson.losses):
            yield OptionMistake(_LOSSES, "answers are kept at one temperature", "take one of them")
    elif options.teacher is not None:
        yield OptionMistake(
            _TEACHER, "nothing of the teacher is learned", "set recover.distill: true"
        )


def recover(
    model: Any, context: Context[Any], options: RecoveryOptions, edits: Sequence[Edit]
) -> TrainingFacts:
    """Train the cut ``model``, which has these ``edits``, in place; facts for the notes of its
    manifest come back.

    Raises UsageError for a teacher of another task or of other labels."""
    source, data, lesson = context.input, context.data, options.lesson
    assert source is not None and data is not None, "a plan gives the stage both"
    if lesson is None:
        return fit(model, context, options)
    from compress.teachers import TeacherWeight

    teacher = context.references.get(_TEACHER, source)
    refuse_strangers(teacher, data, context)
    return fit_to_teachers(
        model,
        context,
        options,
        lesson,
        [TeacherWeight(teacher)],
        edits=edits,
        processor=context.task.processor(source.folder),
        data=data,
    )
