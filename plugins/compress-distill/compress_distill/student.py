"""The student of a distillation: the step's input, a part that is cut from it, or a fresh model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel

from compress.adapting import adapt_input
from compress.artifact import Artifact
from compress.distilling import refuse_without_states
from compress.edits import Edit
from compress.fresh import fresh_reader, processor_for, start_from_teacher
from compress.options import FreshModel
from compress.probe import Probe
from compress.processor import Processor
from compress.stage import Context, Data
from compress_distill.cutting import cut
from compress_distill.options import DistillOptions, StudentOptions, phases_of


@dataclass(frozen=True)
class Student:
    """A model in training mode, and what reads texts for it.

    ``edits`` give an empty model of its config its shape. ``notes`` are facts for the manifest."""

    model: PreTrainedModel
    processor: Processor
    edits: Sequence[Edit]
    notes: Mapping[str, Any]


def student_of(context: Context[DistillOptions], teacher: Artifact, data: Data) -> Student:
    """The student that the options describe, with a head for the labels of the data. A fresh one
    has the teacher's tokenizer.

    Raises UsageError if its hidden states are to be compared with the teacher's, and it gives
    none."""
    wanted = context.options.student
    if isinstance(wanted, FreshModel):
        student = _fresh(wanted, context, teacher, data)
    else:
        student = _of_input(wanted, context, data)
    losses = [loss for phase in phases_of(context.options) for loss in phase.losses]
    refuse_without_states(student.model, losses)
    return student


def _fresh(
    wanted: FreshModel, context: Context[DistillOptions], teacher: Artifact, data: Data
) -> Student:
    theirs = context.task.processor(teacher.folder)
    model = fresh_reader(wanted.config, context.task, data.labels, theirs)
    processor = processor_for(model, theirs, context.task)
    notes: Mapping[str, Any] = {}
    if wanted.embeddings_of is not None:
        rows = data.rows("train")
        notes = start_from_teacher(model, processor, teacher, context, rows)
    return Student(model, processor, (), notes)


def _of_input(
    wanted: StudentOptions | None, context: Context[DistillOptions], data: Data
) -> Student:
    assert context.input is not None, "the stage accepts no fresh model"
    adapted = adapt_input(context, data.labels)
    processor = context.task.processor(context.input.folder)
    if wanted is None:
        return Student(adapted.model, processor, context.input.manifest.edits, adapted.notes)
    probe = Probe(context, data, processor, adapted.model)
    edits, chosen = cut(adapted.model, wanted, context, probe)
    return Student(adapted.model, processor, edits, {**adapted.notes, "student": chosen})
