"""What a student is trained on: its distance from a teacher, and the task's own loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from compress.errors import UsageError
from compress.models import forward
from compress.task import Task
from compress.teacher import Pairs, TeacherOutputs
from compress.training import Term
from compress_distill.losses import answers_distance, hidden_distance
from compress_distill.onpolicy import OwnTargets
from compress_distill.options import DistillOptions


class DistillationLoss:
    """Three weighted terms: distance from the teacher's answers, distance from its last hidden
    states, and the task's own loss on the labels. It is a ``compress.training.Loss``.

    Each term is a mean over its rows or tokens. As sums, the terms would change their
    weights with the size of the batch and the length of its texts. If a model answers with several
    outputs, or has several stacks of layers, a term is the mean of theirs.

    ``outputs`` is None where nothing is asked of the teacher. ``own`` gives some batches targets
    that the student wrote. These are no truth, so the task's own loss does not count there. Nor
    does it where ``truth`` says so of a training row; such rows are in batches of their own."""

    def __init__(
        self,
        outputs: TeacherOutputs | None,
        options: DistillOptions,
        task: Task[Any],
        own: OwnTargets | None = None,
        truth: Sequence[bool] = (),
    ) -> None:
        self._outputs, self._options, self._task = outputs, options, task
        self._own, self._truths = own, truth

    def __call__(
        self, model: PreTrainedModel, batch: dict[str, Tensor], indices: Tensor
    ) -> list[Term]:
        """The terms of the loss of one batch, float32 scalars. ``indices``, int64 [batch], are the
        places of its examples among those of the training rows.

        Raises UsageError if labels are to count, and the task has no loss on them."""
        options = self._options
        written = self._own.batch(model, indices) if self._own else None
        inputs = dict(written or batch)
        is_true = not written and (not self._truths or self._truths[int(indices[0])])
        if options.labels == 0 or not is_true:
            # Without labels the model does not compute its own loss, which is not used.
            inputs.pop("labels", None)
        answer = forward(model, inputs, output_hidden_states=options.hidden > 0)
        terms = self._terms(self._pairs(answer, written or batch, indices))
        if options.labels > 0:
            terms.append(self._truth(answer, batch) if is_true else Term(torch.zeros(()), 0))
        return terms

    def _pairs(self, answer: Any, batch: dict[str, Tensor], indices: Tensor) -> Pairs:
        return self._outputs.pairs(answer, batch, indices) if self._outputs else Pairs()

    def _terms(self, pairs: Pairs) -> list[Term]:
        options, terms = self._options, []
        for pair in pairs.answers:
            weight = options.logits / len(pairs.answers)
            distance = answers_distance(pair, options.temperature, options.beta)
            terms.append(Term(weight * distance, pair.count))
        for pair in pairs.states:
            weight = options.hidden / len(pairs.states)
            assert isinstance(pair.teacher, Tensor), "hidden states are kept whole"
            distance = hidden_distance(pair.student, pair.teacher)
            terms.append(Term(weight * distance, pair.count))
        return terms

    def _truth(self, outputs: Any, batch: dict[str, Tensor]) -> Term:
        """The task's weighted loss on the labels."""
        own = self._task.loss(outputs, batch)
        if own is None:
            raise UsageError(
                f"labels: task {self._task.name} has no loss on its labels: set it to 0"
            )
        return Term(self._options.labels * own.float(), self._task.counted(batch))
