"""Distillation: make the student, train it on the teacher's answers, save it."""

from __future__ import annotations

from typing import Any

from transformers import set_seed

from compress.artifact import Artifact
from compress.errors import UsageError
from compress.heads import meant_labels
from compress.models import save_model
from compress.processor import Processor
from compress.stage import Context, Data, Made
from compress.task import Task
from compress.teacher import TeacherOutputs, teacher_outputs
from compress.training import fit
from compress_distill.loss import DistillationLoss, asked_of
from compress_distill.matching import Place, Sides, all_matched, projected
from compress_distill.onpolicy import OwnTargets
from compress_distill.options import DistillOptions
from compress_distill.sequences import with_sequences
from compress_distill.student import student_of


def distill(context: Context[DistillOptions]) -> Made:
    """Write the trained student and its tokenizer into ``context.output``."""
    source, data = context.input, context.data
    assert source is not None, "the stage accepts no fresh model"
    assert data is not None, "the stage needs data"
    teacher = context.references.get("teacher", source)
    _refuse_strangers(teacher, data, context)
    options = context.options
    if options.sequences or options.on_policy > 0:
        _refuse_what_is_not_written(context.task, data)
    set_seed(context.seed)
    student = student_of(context, teacher, data)
    if options.sequences:
        data = with_sequences(context, teacher, data, options.sequences)
    sides = Sides.of(student.model, teacher, context.architectures)
    loss = DistillationLoss(
        _outputs(context, teacher, data, student.processor, sides.layers),
        options.losses,
        context.task,
        _own_targets(context, data, student.processor),
        layers=sides.layers,
    )
    with projected(student.model, all_matched(options.losses, sides.layers), sides):
        facts = fit(
            student.model, context, options, loss=loss, processor=student.processor, data=data
        )
    if context.rank > 0:
        return Made()
    parameters = save_model(student.model, context.output)
    student.processor.save(context.output)
    return Made(parameters=parameters, edits=student.edits, notes={**facts, **student.notes})


def _outputs(
    context: Context[DistillOptions],
    teacher: Artifact,
    data: Data,
    processor: Processor,
    layers: Place | None,
) -> TeacherOutputs | None:
    """What the losses compare. None if they ask nothing of the teacher."""
    asked = asked_of(context.options, layers)
    if not asked.answers and not asked.states:
        return None
    return teacher_outputs(context, teacher, "train", asked, processor, data)


def _own_targets(
    context: Context[DistillOptions], data: Data, processor: Processor
) -> OwnTargets | None:
    share = context.options.on_policy
    return OwnTargets(context.task, data.rows("train"), processor, share) if share > 0 else None


def _refuse_what_is_not_written(task: Task[Any], data: Data) -> None:
    """Raise CompressError where rows take no generated answer as their target."""
    for row in data.rows("train")[:1]:
        task.with_answer(row, {"answer": "", "tokens": []})


def _refuse_strangers(teacher: Artifact, data: Data, context: Context[DistillOptions]) -> None:
    """Raise UsageError unless the teacher has the step's task, and the labels of the data in the
    same order."""
    if teacher.traits.task != context.task.name:
        raise UsageError(
            f"the teacher serves {teacher.traits.task or 'no task'}, and the step is for "
            f"{context.task.name}"
        )
    if meant_labels(teacher.manifest.labels, data.labels) != tuple(data.labels):
        raise UsageError("the teacher's labels are not the data's labels in the same order")
