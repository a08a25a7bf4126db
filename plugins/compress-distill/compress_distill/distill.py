"""Distillation: cut the student, learn the teacher's answers, save."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import set_seed

from compress import surgery
from compress.artifact import Artifact
from compress.errors import NothingChanged, UsageError
from compress.models import adapt_model, load_config, save_model
from compress.sizes import architecture_of, sizes
from compress.stage import Context, Made
from compress.task import IGNORED, meant_labels
from compress.training import fit
from compress_distill import DistillOptions
from compress_distill.losses import binary_divergence, divergence, hidden_distance, squared_error
from compress_distill.teacher import TeacherOutputs, teacher_outputs


def distill(context: Context[DistillOptions]) -> Made:
    """What was made: the trained student in ``context.output``."""
    assert context.input is not None  # the stage accepts no fresh model
    teacher = context.references.get("teacher", context.input)
    _refuse_strangers(teacher, context.input, context)
    set_seed(context.seed)
    student = adapt_model(context.input, context.task, context.data.labels)
    _refuse_other_width(student, teacher, context)
    edits = _cut(student, context) if context.options.student else None
    features = context.task.features(
        context.data.rows("train"), context.task.processor(context.input.folder)
    )
    outputs = teacher_outputs(context, teacher, features, hidden=context.options.hidden > 0)
    facts = fit(student, context, context.options, loss=DistillationLoss(outputs, context.options))
    parameters = save_model(student, context.output)
    context.task.processor(context.input.folder).save(context.output)
    return Made(parameters=parameters, edits=edits, notes=facts)


def evenly_spaced(count: int, layers: int) -> list[int]:
    """``count`` of ``layers`` indices, evenly spaced from the first to the last; the last one alone
    for a count of 1."""
    if count == 1:
        return [layers - 1]
    return [round(i * (layers - 1) / (count - 1)) for i in range(count)]


def _cut(student: Any, context: Context[DistillOptions]) -> Sequence[Any]:
    """Cut the student in place; the edits that its shape needs at load."""
    assert context.options.student is not None
    wanted = context.options.student.layers
    architecture = architecture_of(student.config.model_type, context.architectures)
    if architecture is None or architecture.layout is None:
        raise UsageError(
            f"how {student.config.model_type} models are built is not known, so no student can be "
            "cut from one"
        )
    layers = len(surgery.blocks_of(student, architecture.layout))
    kept = evenly_spaced(wanted, layers) if isinstance(wanted, int) else wanted
    if len(kept) > layers or kept[-1] >= layers:
        raise UsageError(
            f"student.layers: {wanted} does not fit a model of {layers} layers (numbered from 0)"
        )
    if len(kept) == layers:
        raise NothingChanged(
            f"student.layers: {wanted} cuts nothing from a model of {layers} layers: take fewer, "
            "or leave "
            "student out and name a teacher"
        )
    surgery.keep_layers(student, architecture.layout, kept)
    return surgery.settle(student, architecture)


def _refuse_strangers(
    teacher: Artifact, student: Artifact, context: Context[DistillOptions]
) -> None:
    """A teacher must answer the same question in the same words."""
    if teacher.traits.task != context.task.name:
        raise UsageError(
            f"the teacher serves {teacher.traits.task or 'no task'}, and the step is for "
            f"{context.task.name}"
        )
    if meant_labels(teacher.manifest.labels, context.data.labels) != tuple(context.data.labels):
        raise UsageError("the teacher's labels are not the data's labels in the same order")
    # As the library writes it now: files of its older versions say the same in other words.
    theirs, own = (
        context.task.processor(side.folder).tokenizer.to_str() for side in (teacher, student)
    )
    if theirs != own:
        raise UsageError(
            "teacher and student have different tokenizers, so that their tokens cannot be compared"
        )


def _refuse_other_width(student: Any, teacher: Artifact, context: Context[DistillOptions]) -> None:
    if context.options.hidden == 0:
        return
    theirs, own = (
        sizes(c, context.architectures).hidden
        for c in (load_config(teacher.folder), student.config)
    )
    if theirs != own:
        raise UsageError(
            f"the teacher's hidden width is {theirs} and the student's {own}: set hidden: 0"
        )


class DistillationLoss:
    """The weighted sum of the terms; called by training as ``loss(model, batch, indices)``."""

    def __init__(self, outputs: TeacherOutputs, options: DistillOptions) -> None:
        self._outputs, self._options = outputs, options

    def __call__(self, model: Any, batch: dict[str, Tensor], indices: Tensor) -> Tensor:
        """The loss of one batch, a scalar."""
        options, rows, length = self._options, indices.tolist(), batch["input_ids"].shape[1]
        labels = batch["labels"]
        inputs = batch if options.labels > 0 else {k: v for k, v in batch.items() if k != "labels"}
        answer = model(**inputs, output_hidden_states=options.hidden > 0)
        loss = answer.logits.new_zeros((), dtype=torch.float32)
        if options.logits > 0:
            teacher = self._outputs.logits_of(rows, length).to(answer.logits.device)
            loss = loss + options.logits * self._answers(
                model.config, answer.logits, teacher, labels
            )
        if options.hidden > 0:
            loss = loss + options.hidden * self._states(
                answer.hidden_states[-1], rows, batch["attention_mask"]
            )
        if options.labels > 0:
            loss = loss + options.labels * answer.loss.float()
        return loss

    def _answers(self, config: Any, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        if self._outputs.per_token:
            # Positions that the task scores: the others' answers were never trained.
            counted = labels != IGNORED
            return divergence(student[counted], teacher[counted], self._options.temperature)
        problem = getattr(config, "problem_type", None)
        if problem == "regression":
            return squared_error(student, teacher)
        compare = binary_divergence if problem == "multi_label_classification" else divergence
        return compare(student, teacher, self._options.temperature)

    def _states(self, student: Tensor, rows: list[int], mask: Tensor) -> Tensor:
        teacher = self._outputs.hidden_of(rows, student.shape[1]).to(student.device)
        real = mask.bool()
        return hidden_distance(student[real], teacher[real])
