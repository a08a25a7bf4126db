"""Losses of distillation: pure functions of tensors, computed in float32 whatever the forward pass
used."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Mean Kullback-Leibler divergence of the student's distribution from the teacher's, times
    temperature squared.

    ``student`` and ``teacher`` are logits [n, classes]; both are divided by the temperature. 0
    exactly when they agree (a cross-entropy would keep the teacher's entropy). The factor keeps
    gradients of one size over temperatures: Hinton et al. 2015, section 2.1 (arXiv:1503.02531)."""
    log_student = functional.log_softmax(student.float() / temperature, dim=-1)
    log_teacher = functional.log_softmax(teacher.float() / temperature, dim=-1)
    return (
        functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
        * temperature**2
    )


def binary_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """As ``divergence`` for independent labels: each logit [n, labels] is a distribution over yes
    and no; the sum over labels, mean over n."""
    pairs = [
        torch.stack([logits, torch.zeros_like(logits)], dim=-1).flatten(0, -2)
        for logits in (student, teacher)
    ]
    return divergence(pairs[0], pairs[1], temperature) * student.shape[-1]


def squared_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of predicted numbers, for regression."""
    return functional.mse_loss(student.float(), teacher.float())


def hidden_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of 1 - cosine similarity of hidden states [n, width]: 0 for equal directions. Sanh et
    al. 2019, section 3 (arXiv:1910.01108)."""
    return (1 - functional.cosine_similarity(student.float(), teacher.float(), dim=-1)).mean()
