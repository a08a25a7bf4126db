"""Distillation: make the student, train it on the teacher's answers, save it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from transformers import set_seed

from compress.artifact import Artifact
from compress.errors import UsageError
from compress.models import save_model
from compress.processor import Processor
from compress.stage import Context, Data, Made
from compress.task import Row
from compress.teacher import TeacherOutputs
from compress.teachers import TeacherWeight, several_outputs
from compress.training import TrainingFacts, fit
from compress_distill.attending import Attended, attended
from compress_distill.contract import refuse_strangers
from compress_distill.loss import DistillationLoss, asked_of
from compress_distill.matching import Place, Sides, all_matched, projected
from compress_distill.menu import needs_teacher
from compress_distill.onpolicy import OwnTargets
from compress_distill.options import (
    DistillOptions,
    learns_labels_alone,
    phases_of,
    weights_of_teachers,
)
from compress_distill.rows import Learned, learned_data
from compress_distill.student import Student, student_of


def distill(context: Context[DistillOptions]) -> Made:
    """Write the trained student and its tokenizer into ``context.output``."""
    source, data = context.input, context.data
    assert source is not None, "the stage accepts no fresh model"
    assert data is not None, "the stage needs data"
    teachers = teachers_of(context, source)
    for each in teachers:
        refuse_strangers(each.artifact, data, context)
    teacher = teachers[0].artifact
    options = context.options
    if (options.sequences or options.on_policy > 0) and not context.task.generates():
        raise UsageError(
            f"task {context.task.name}: its answers are not generated: leave sequences and "
            "on_policy out"
        )
    notes: dict[str, Any] = {}
    if learns_labels_alone(options):
        notes["distilled"] = False
        context.note("losses has labels alone: nothing of the teacher is learned")
    set_seed(context.seed)
    student = student_of(context, teacher, data)
    learned = learned_data(context, teacher, data)
    facts = trained(context, student, teachers, learned)
    if context.rank > 0:
        return Made()
    parameters = save_model(student.model, context.output)
    student.processor.save(context.output)
    return Made(
        parameters=parameters,
        edits=student.edits,
        notes={**facts, **student.notes, **learned.notes, **notes},
    )


def teachers_of(context: Context[DistillOptions], source: Artifact) -> list[TeacherWeight]:
    """The teachers with their weights, the first one first; the ``source`` where none is named."""
    prefix = "teacher"
    named = [
        artifact
        for option, artifact in context.references.items()
        if option == prefix or option.startswith(f"{prefix}.")
    ]
    weights = weights_of_teachers(context.options)
    return [
        TeacherWeight(artifact, weight)
        for artifact, weight in zip(named or [source], weights, strict=True)
    ]


def trained(
    context: Context[DistillOptions],
    student: Student,
    teachers: Sequence[TeacherWeight],
    learned: Learned,
) -> Mapping[str, Any]:
    """The student is trained, in one phase or in several. Facts of each come back for the notes:
    those of the last, and of all under ``phases`` if there are several."""
    data = learned.data
    teacher = teachers[0].artifact
    sides = Sides.of(student.model, student.edits, teacher, context.architectures)
    phases = phases_of(context.options)
    facts: list[TrainingFacts] = []
    for number, options in enumerate(phases):
        if len(phases) > 1:
            context.note(f"phase {number + 1} of {len(phases)}")
        # What is drawn for a phase must not depend on whether the one before it was resumed.
        set_seed((context.seed + number) % 2**32)
        outputs = _outputs(context, options, teachers, data, student.processor, sides.layers)
        own_data: Data = data
        if not any(loss.logits or loss.labels for loss in options.losses):
            # Its head learns nothing, so that the quality of an epoch says nothing of the others.
            own_data, options = _Unjudged(data), options.model_copy(update={"patience": None})
        with ExitStack() as stack:
            stack.enter_context(
                projected(student.model, all_matched(options.losses, sides.layers), sides)
            )
            loss = DistillationLoss(
                outputs,
                options.losses,
                context.task,
                _own_targets(context, data, student.processor),
                learned.truth,
                layers=sides.layers,
                attended=_attended(context, options, student, outputs, sides.layers, stack),
                is_shared=context.world > 1,
            )
            made = fit(
                student.model,
                context,
                options,
                loss=loss,
                processor=student.processor,
                data=own_data,
                groups=learned.truth,
                work=context.work / f"phase-{number + 1}" if number else None,
            )
        facts.append(made)
        student.model.train()
    return {**facts[-1], **({"phases": facts} if len(facts) > 1 else {})}


def _attended(
    context: Context[DistillOptions],
    options: DistillOptions,
    student: Student,
    outputs: TeacherOutputs | None,
    layers: Place | None,
    stack: ExitStack,
) -> Attended | None:
    """The attention layers that the losses compare, until the ``stack`` ends; None if they compare
    none."""
    if not needs_teacher(options.losses):
        return None
    assert outputs is not None and outputs.model is not None, "the teacher is in memory"
    return stack.enter_context(
        attended(student.model, outputs.model, options.losses, layers, context.architectures)
    )


class _Unjudged:
    """Data without validation rows: a training keeps its last weights."""

    def __init__(self, data: Data) -> None:
        self._data, self.labels, self.digest = data, data.labels, data.digest

    def rows(self, split: str) -> Sequence[Row]:
        """The rows of another split."""
        return [] if split == "validation" else self._data.rows(split)


def _outputs(
    context: Context[DistillOptions],
    options: DistillOptions,
    teachers: Sequence[TeacherWeight],
    data: Data,
    processor: Processor,
    layers: Place | None,
) -> TeacherOutputs | None:
    """What the losses compare. None if they ask nothing of the teacher."""
    asked = asked_of(options, layers)
    if not asked.answers and not asked.states and not needs_teacher(options.losses):
        return None
    return several_outputs(context, teachers, "train", asked, processor, data)


def _own_targets(
    context: Context[DistillOptions], data: Data, processor: Processor
) -> OwnTargets | None:
    share = context.options.on_policy
    return OwnTargets(context.task, data.rows("train"), processor, share) if share > 0 else None
