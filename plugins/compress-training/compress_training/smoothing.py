"""Label smoothing: a part of each label is shared among all choices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from compress.distillable import Distillable
from compress.errors import UsageError
from compress.models import forward
from compress.task import Task
from compress.training import Term


class SmoothedLoss:
    """The task's loss, of which ``share`` is a cross-entropy with equally probable choices. It is a
    ``compress.training.Loss``.

    Szegedy et al. 2016, Rethinking the Inception Architecture, section 7 (arXiv:1512.00567)."""

    def __init__(self, task: Task[Any], share: float) -> None:
        self._task, self._share = task, share

    def __call__(
        self, model: PreTrainedModel, batch: dict[str, Tensor], indices: Tensor
    ) -> list[Term]:
        """The two terms of a batch, float32 scalars. Raises UsageError for a task whose models
        choose no answer out of several."""
        outputs = forward(model, batch)
        own, parts = self._task.loss(outputs, batch), self._task.distillable(outputs, batch)
        if own is None or not parts or any(not _is_choice(part) for part in parts):
            raise UsageError(
                f"label_smoothing: models of the task {self._task.name} do not choose one of "
                "several answers: leave it out"
            )
        terms = [Term((1 - self._share) * own.float(), self._task.counted(batch))]
        for part in parts:
            lines = part.values if part.mask is None else part.values[part.mask]
            weight = self._share / len(parts)
            terms.append(Term(weight * _distance_from_even(lines), lines[..., 0].numel()))
        return terms


def _is_choice(part: Distillable) -> bool:
    return part.divergence == "softmax" and not part.masks_choices


def _distance_from_even(logits: Tensor) -> Tensor:
    """Cross-entropy of equally probable choices and ``logits`` [..., choices], mean over all
    answers; a float32 scalar."""
    return -torch.log_softmax(logits.float(), dim=-1).mean()
