"""The student of a distillation: the step's input, a part that is cut from it, or a fresh model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel

from compress import surgery
from compress.adapting import adapt_input
from compress.architecture import Stack
from compress.artifact import Artifact
from compress.edits import Edit
from compress.errors import NothingChanged, UsageError
from compress.fresh import fresh_reader, processor_for, start_from_teacher
from compress.options import FreshModel, KeptLayers
from compress.processor import Processor
from compress.shapes import settle
from compress.sizes import layout_of
from compress.stage import Context, Data
from compress_distill.options import DistillOptions, StudentOptions, phases_of

_STATES = "output_hidden_states"


@dataclass(frozen=True)
class Student:
    """A model in training mode, and what reads texts for it.

    ``edits`` give an empty model of its config its shape; None: those of the step's input.
    ``notes`` are facts for the manifest."""

    model: PreTrainedModel
    processor: Processor
    edits: Sequence[Edit] | None
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
    if any(
        loss.hidden or loss.embeddings
        for phase in phases_of(context.options)
        for loss in phase.losses
    ):
        _refuse_without_states(student.model)
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
    edits = _cut(adapted.model, wanted, context) if wanted else None
    processor = context.task.processor(context.input.folder)
    return Student(adapted.model, processor, edits, adapted.notes)


def evenly_spaced(count: int, layers: int) -> list[int]:
    """``count`` of ``layers`` indices, evenly spaced from the first to the last; only the
    last for a count of 1. Three of 12: 0, 6, 11."""
    if count == 1:
        return [layers - 1]
    return [round(i * (layers - 1) / (count - 1)) for i in range(count)]


def _cut(
    model: PreTrainedModel, wanted: StudentOptions, context: Context[DistillOptions]
) -> Sequence[Edit]:
    """Cut the student in place. Returns the edits that give an empty model its shape."""
    architecture, layout = layout_of(model.config.model_type, context.architectures)
    asked = surgery.kept_by_stack(model, layout.stacks, wanted.layers, "student.layers")
    before = sum(len(surgery.blocks_of(model, stack)) for stack in layout.stacks)
    removed = 0
    for stack in layout.stacks:
        if stack.name in asked:
            removed += _cut_stack(model, stack, asked[stack.name])
    if not removed:
        raise NothingChanged(
            f"student.layers: {wanted.layers} cuts nothing from a model of {before} layers: take "
            "fewer, or leave student out and name a teacher"
        )
    return settle(model, architecture)


def _cut_stack(model: PreTrainedModel, stack: Stack, wanted: KeptLayers) -> int:
    """Cut one stack in place. Returns how many layers were removed."""
    layers = len(surgery.blocks_of(model, stack))
    kept = evenly_spaced(wanted, layers) if isinstance(wanted, int) else wanted
    surgery.keep_layers(model, stack, kept)
    return layers - len(kept)


def _refuse_without_states(student: PreTrainedModel) -> None:
    """Raise UsageError where a student's hidden states cannot be compared."""
    read = inspect.signature(student.forward).parameters.values()
    if not any(p.name == _STATES or p.kind is p.VAR_KEYWORD for p in read):
        raise UsageError(
            f"a {student.config.model_type} model gives no hidden states (its forward has no "
            f"{_STATES}): take hidden and embeddings out of losses"
        )
