"""Distillation: make the student, train it on the teacher's answers, save it."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import PreTrainedModel, set_seed

from compress.artifact import Artifact
from compress.errors import UsageError
from compress.heads import meant_labels
from compress.models import forward, save_model
from compress.stage import Context, Data, Made
from compress.task import Task
from compress.teacher import Asked, TeacherOutputs, teacher_outputs
from compress.training import Term, fit
from compress_distill import DistillOptions
from compress_distill.losses import answers_distance, hidden_distance
from compress_distill.student import student_of


def distill(context: Context[DistillOptions]) -> Made:
    """Write the trained student and its tokenizer into ``context.output``."""
    source, data = context.input, context.data
    assert source is not None, "the stage accepts no fresh model"
    assert data is not None, "the stage needs data"
    teacher = context.references.get("teacher", source)
    _refuse_strangers(teacher, data, context)
    set_seed(context.seed)
    student = student_of(context, teacher, data)
    asked = _asked(context.options)
    outputs = teacher_outputs(context, teacher, "train", asked, student.processor)
    loss = DistillationLoss(outputs, context.options, context.task)
    facts = fit(student.model, context, context.options, loss=loss, processor=student.processor)
    if context.rank > 0:
        return Made()
    parameters = save_model(student.model, context.output)
    student.processor.save(context.output)
    return Made(parameters=parameters, edits=student.edits, notes={**facts, **student.notes})


def _asked(options: DistillOptions) -> Asked:
    """What the loss compares: what has a weight."""
    return Asked(answers=options.logits > 0, states=(-1,) if options.hidden > 0 else ())


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


class DistillationLoss:
    """Three weighted terms: distance from the teacher's answers, distance from its last hidden
    states, and the task's own loss on the labels. It is a ``compress.training.Loss``.

    Each term is a mean over its rows or tokens. As sums, the terms would change their
    weights with the size of the batch and the length of its texts. If a model answers with several
    outputs, the first term is the mean of theirs."""

    def __init__(self, outputs: TeacherOutputs, options: DistillOptions, task: Task[Any]) -> None:
        self._outputs, self._options, self._task = outputs, options, task

    def __call__(
        self, model: PreTrainedModel, batch: dict[str, Tensor], indices: Tensor
    ) -> list[Term]:
        """The terms of the loss of one batch, float32 scalars. ``indices``, int64 [batch], are the
        places of its examples among those of the training rows.

        Raises UsageError if labels are to count, and the task has no loss on them."""
        options, inputs = self._options, dict(batch)
        if options.labels == 0:
            # Without labels the model does not compute its own loss, which is not used.
            inputs.pop("labels", None)
        answer = forward(model, inputs, output_hidden_states=options.hidden > 0)
        pairs = self._outputs.pairs(answer, batch, indices)
        terms = []
        for pair in pairs.answers:
            weight = options.logits / len(pairs.answers)
            distance = answers_distance(pair, options.temperature)
            terms.append(Term(weight * distance, len(pair.student)))
        for pair in pairs.states:
            distance = hidden_distance(pair.student, pair.teacher)
            terms.append(Term(options.hidden * distance, len(pair.student)))
        if options.labels > 0:
            terms.append(Term(options.labels * self._own(answer, batch), self._task.counted(batch)))
        return terms

    def _own(self, outputs: Any, batch: dict[str, Tensor]) -> Tensor:
        """The task's loss on the true labels."""
        own = self._task.loss(outputs, batch)
        if own is None:
            raise UsageError(
                f"labels: task {self._task.name} has no loss on its labels: set it to 0"
            )
        return own.float()
