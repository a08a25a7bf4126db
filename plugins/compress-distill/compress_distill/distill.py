"""Distillation: cut the student, train it on the teacher's answers, save it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, set_seed

from compress.artifact import Artifact
from compress.errors import UsageError
from compress.models import save_model
from compress.options import FreshModel
from compress.stage import Context, Data, Made
from compress.task import IGNORED, meant_labels
from compress.training import fit
from compress_distill import DistillOptions
from compress_distill.losses import binary_divergence, divergence, hidden_distance, squared_error
from compress_distill.student import student_of
from compress_distill.teacher import TeacherOutputs, teacher_outputs


def distill(context: Context[DistillOptions]) -> Made:
    """Write the trained student and its tokenizer into ``context.output``."""
    source, data = context.input, context.data
    assert source is not None, "the stage accepts no fresh model"
    assert data is not None, "the stage needs data"
    teacher = context.references.get("teacher", source)
    _refuse_strangers(teacher, source, data, context)
    set_seed(context.seed)
    student = student_of(context, teacher, data)
    features = context.task.features(data.rows("train"), student.processor)
    outputs = teacher_outputs(context, teacher, features, hidden=context.options.hidden > 0)
    loss = DistillationLoss(outputs, context.options)
    facts = fit(student.model, context, context.options, loss=loss, processor=student.processor)
    parameters = save_model(student.model, context.output)
    student.processor.save(context.output)
    return Made(parameters=parameters, edits=student.edits, notes={**facts, **student.notes})


def _refuse_strangers(
    teacher: Artifact, student: Artifact, data: Data, context: Context[DistillOptions]
) -> None:
    """Raise UsageError unless teacher and student have the same task, the same labels in
    the same order, and the same tokenizer."""
    if teacher.traits.task != context.task.name:
        raise UsageError(
            f"the teacher serves {teacher.traits.task or 'no task'}, and the step is for "
            f"{context.task.name}"
        )
    if meant_labels(teacher.manifest.labels, data.labels) != tuple(data.labels):
        raise UsageError("the teacher's labels are not the data's labels in the same order")
    # Both are compared as the installed library writes them: an older version may have
    # written the same tokenizer in another way.
    theirs = context.task.processor(teacher.folder).tokenizer.to_str()
    own = context.task.processor(student.folder).tokenizer.to_str()
    if theirs != own and not isinstance(context.options.student, FreshModel):
        raise UsageError(
            "teacher and student have different tokenizers, so that their tokens cannot be compared"
        )


class DistillationLoss:
    """The weighted sum of three terms: distance from the teacher's answers, distance from
    its last hidden states, and the model's own loss on the labels. It is a
    ``compress.training.Loss``.

    Each term is a mean over its rows or tokens. As sums, the terms would change their
    weights with the size of the batch and the length of its texts."""

    def __init__(self, outputs: TeacherOutputs, options: DistillOptions) -> None:
        self._outputs, self._options = outputs, options

    def __call__(self, model: PreTrainedModel, batch: dict[str, Tensor], indices: Tensor) -> Tensor:
        """The loss of one batch, a float32 scalar. ``indices``, int64 [batch], are the
        positions of its rows among the training rows."""
        options, rows, length = self._options, indices.tolist(), batch["input_ids"].shape[1]
        labels = batch["labels"]
        inputs = dict(batch)
        if options.labels == 0:
            # Without labels the model does not compute its own loss, which is not used.
            del inputs["labels"]
        answer = model(**inputs, output_hidden_states=options.hidden > 0)
        loss: Tensor = answer.logits.new_zeros((), dtype=torch.float32)
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
        """How far the student's logits are from the teacher's, by the kind of answer. Both
        are [batch, classes], or [batch, length, classes] if each token has an answer."""
        if self._outputs.per_token:
            # Only positions with a label, the first piece of a word. The teacher was never
            # trained at the others and at padding: its answers there are noise.
            counted = labels != IGNORED  # [batch, length]; student[counted] is [words, classes]
            return divergence(student[counted], teacher[counted], self._options.temperature)
        problem = getattr(config, "problem_type", None)
        if problem == "regression":
            return squared_error(student, teacher)
        compare = binary_divergence if problem == "multi_label_classification" else divergence
        return compare(student, teacher, self._options.temperature)

    def _states(self, student: Tensor, rows: list[int], mask: Tensor) -> Tensor:
        """How far the student's last hidden states [batch, length, width] are from the
        teacher's. Padding is left out: the stored states have none, so it would be compared
        with zeros."""
        teacher = self._outputs.hidden_of(rows, student.shape[1]).to(student.device)
        real = mask.bool()  # [batch, length]; states[real] is [tokens, width]
        # The stored states begin at the first position, also where a batch is padded on the left.
        stored = real.sort(dim=1, descending=True).values
        return hidden_distance(student[real], teacher[stored])
