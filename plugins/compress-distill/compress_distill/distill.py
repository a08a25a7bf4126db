"""Distillation: cut the student, train it on the teacher's answers, save it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel, set_seed

from compress import surgery
from compress.adapting import adapt_input
from compress.artifact import Artifact
from compress.edits import Edit
from compress.errors import NothingChanged, UsageError
from compress.models import load_config, save_model
from compress.options import layers_misfit
from compress.sizes import layout_of, sizes
from compress.stage import Context, Data, Made
from compress.task import meant_labels
from compress.teacher import Asked, TeacherOutputs, teacher_outputs
from compress.training import fit
from compress_distill import DistillOptions
from compress_distill.losses import answers_distance, hidden_distance


def distill(context: Context[DistillOptions]) -> Made:
    """Write the trained student and its tokenizer into ``context.output``."""
    source, data = context.input, context.data
    assert source is not None, "the stage accepts no fresh model"
    assert data is not None, "the stage needs data"
    teacher = context.references.get("teacher", source)
    _refuse_strangers(teacher, data, context)
    set_seed(context.seed)
    adapted = adapt_input(context, data.labels)
    student = adapted.model
    _refuse_other_width(student, teacher, context)
    edits = _cut(student, context) if context.options.student else None
    processor = context.task.processor(source.folder)
    outputs = teacher_outputs(context, teacher, "train", _asked(context.options), processor)
    facts = fit(student, context, context.options, loss=DistillationLoss(outputs, context.options))
    parameters = save_model(student, context.output)
    processor.save(context.output)
    return Made(parameters=parameters, edits=edits, notes={**facts, **adapted.notes})


def _asked(options: DistillOptions) -> Asked:
    """What the loss compares: what has a weight."""
    return Asked(answers=options.logits > 0, states=(-1,) if options.hidden > 0 else ())


def evenly_spaced(count: int, layers: int) -> list[int]:
    """``count`` of ``layers`` indices, evenly spaced from the first to the last; only the
    last for a count of 1. Three of 12: 0, 6, 11."""
    if count == 1:
        return [layers - 1]
    return [round(i * (layers - 1) / (count - 1)) for i in range(count)]


def _cut(student: PreTrainedModel, context: Context[DistillOptions]) -> Sequence[Edit]:
    """Cut the student in place. Returns the edits that give an empty model its shape."""
    assert context.options.student is not None
    wanted = context.options.student.layers
    architecture, layout = layout_of(student.config.model_type, context.architectures)
    layers = len(surgery.blocks_of(student, layout))
    misfit = layers_misfit(wanted, layers)
    if misfit:
        raise UsageError(f"student.layers: {misfit}")
    kept = evenly_spaced(wanted, layers) if isinstance(wanted, int) else wanted
    if len(kept) == layers:
        raise NothingChanged(
            f"student.layers: {wanted} cuts nothing from a model of {layers} layers: take fewer, "
            "or leave student out and name a teacher"
        )
    surgery.keep_layers(student, layout, kept)
    return surgery.settle(student, architecture)


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


def _refuse_other_width(
    student: PreTrainedModel, teacher: Artifact, context: Context[DistillOptions]
) -> None:
    if context.options.hidden == 0:
        return
    theirs = sizes(load_config(teacher.folder), context.architectures).hidden
    own = sizes(student.config, context.architectures).hidden
    if theirs != own:
        raise UsageError(
            f"the teacher's hidden width is {theirs} and the student's {own}: set hidden: 0"
        )


class DistillationLoss:
    """The weighted sum of three terms: distance from the teacher's answers, distance from
    its last hidden states, and the task's own loss on the labels. It is a
    ``compress.training.Loss``.

    Each term is a mean over its rows or tokens. As sums, the terms would change their
    weights with the size of the batch and the length of its texts."""

    def __init__(self, outputs: TeacherOutputs, options: DistillOptions) -> None:
        self._outputs, self._options = outputs, options

    def __call__(self, model: PreTrainedModel, batch: dict[str, Tensor], indices: Tensor) -> Tensor:
        """The loss of one batch, a float32 scalar. ``indices``, int64 [batch], are the
        places of its examples among those of the training rows."""
        options, inputs = self._options, dict(batch)
        if options.labels == 0:
            # Without labels the model does not compute its own loss, which is not used.
            del inputs["labels"]
        answer = model(**inputs, output_hidden_states=options.hidden > 0)
        pairs = self._outputs.pairs(answer, batch, indices)
        loss = torch.zeros((), device=indices.device)
        if options.logits > 0:
            loss = loss + options.logits * answers_distance(pairs.answers, options.temperature)
        for pair in pairs.states:
            loss = loss + options.hidden * hidden_distance(pair.student, pair.teacher)
        if options.labels > 0:
            loss = loss + options.labels * answer.loss.float()
        return loss
