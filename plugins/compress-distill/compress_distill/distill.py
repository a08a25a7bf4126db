"""Distillation: make the student, train it on the teacher's answers, save it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import set_seed

from compress.artifact import Artifact
from compress.distilling import Lesson, fit_to_teachers, refuse_strangers
from compress.models import save_model
from compress.processor import Processor
from compress.stage import Context, Data, Made
from compress.teachers import TeacherWeight
from compress.training import TrainingFacts
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
    data, options = learned.data, context.options
    phases = phases_of(options)
    facts: list[TrainingFacts] = []
    for number, phase in enumerate(phases):
        if len(phases) > 1:
            context.note(f"phase {number + 1} of {len(phases)}")
        # What is drawn for a phase must not depend on whether the one before it was resumed.
        set_seed((context.seed + number) % 2**32)
        made = fit_to_teachers(
            student.model,
            context,
            phase,
            Lesson(phase.losses, options.keep, options.choices),
            teachers,
            edits=student.edits,
            processor=student.processor,
            data=data,
            own=_own_targets(context, data, student.processor),
            truth=learned.truth,
            work=context.work / f"phase-{number + 1}" if number else None,
        )
        facts.append(made)
        student.model.train()
    return {**facts[-1], **({"phases": facts} if len(facts) > 1 else {})}


def _own_targets(
    context: Context[DistillOptions], data: Data, processor: Processor
) -> OwnTargets | None:
    share = context.options.on_policy
    return OwnTargets(context.task, data.rows("train"), processor, share) if share > 0 else None
