"""Distillation: make the student, train it on the teacher's answers, save it."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import set_seed

from compress.artifact import Artifact
from compress.errors import UsageError
from compress.heads import meant_labels
from compress.models import save_model
from compress.processor import Processor
from compress.stage import Context, Data, Made
from compress.teacher import TeacherOutputs
from compress.teachers import TeacherWeight, several_outputs
from compress.training import fit
from compress_distill.loss import DistillationLoss, asked_of
from compress_distill.onpolicy import OwnTargets
from compress_distill.options import DistillOptions, weights_of_teachers
from compress_distill.rows import learned_data
from compress_distill.student import student_of


def distill(context: Context[DistillOptions]) -> Made:
    """Write the trained student and its tokenizer into ``context.output``."""
    source, data = context.input, context.data
    assert source is not None, "the stage accepts no fresh model"
    assert data is not None, "the stage needs data"
    teachers = teachers_of(context, source)
    for each in teachers:
        _refuse_strangers(each.artifact, data, context)
    teacher = teachers[0].artifact
    options = context.options
    if (options.sequences or options.on_policy > 0) and not context.task.generates():
        raise UsageError(
            f"task {context.task.name}: its answers are not generated: leave sequences and "
            "on_policy out"
        )
    set_seed(context.seed)
    student = student_of(context, teacher, data)
    learned = learned_data(context, teacher, data)
    data = learned.data
    loss = DistillationLoss(
        _outputs(context, teachers, data, student.processor),
        options.losses,
        context.task,
        _own_targets(context, data, student.processor),
        learned.truth,
    )
    facts = fit(
        student.model,
        context,
        options,
        loss=loss,
        processor=student.processor,
        data=data,
        groups=learned.truth,
    )
    if context.rank > 0:
        return Made()
    parameters = save_model(student.model, context.output)
    student.processor.save(context.output)
    return Made(
        parameters=parameters,
        edits=student.edits,
        notes={**facts, **student.notes, **learned.notes},
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


def _outputs(
    context: Context[DistillOptions],
    teachers: Sequence[TeacherWeight],
    data: Data,
    processor: Processor,
) -> TeacherOutputs | None:
    """What the losses compare. None if they ask nothing of the teacher."""
    asked = asked_of(context.options)
    if not asked.answers and not asked.states:
        return None
    return several_outputs(context, teachers, "train", asked, processor, data)


def _own_targets(
    context: Context[DistillOptions], data: Data, processor: Processor
) -> OwnTargets | None:
    share = context.options.on_policy
    return OwnTargets(context.task, data.rows("train"), processor, share) if share > 0 else None


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
