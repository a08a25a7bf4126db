"""Losses of distillation: pure functions of tensors, computed in float32 whatever the
forward pass used.

float32 matters: in bf16, with 8 bits of precision, a softmax loses the small differences
between unlikely classes, which are what a teacher adds to the labels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Mean Kullback-Leibler divergence KL(teacher || student) over n, times temperature
    squared.

    ``student`` and ``teacher`` are logits [n, classes]; both are divided by the temperature
    first, which makes unlikely classes count more. The result is 0 exactly when the two
    distributions agree; a cross-entropy with soft labels would keep the teacher's entropy.
    Hinton et al. 2015, section 2 (arXiv:1503.02531)."""
    log_student = functional.log_softmax(student.float() / temperature, dim=-1)
    log_teacher = functional.log_softmax(teacher.float() / temperature, dim=-1)
    # "batchmean" sums over classes and divides by n. "mean" would divide by the classes
    # too, and the term would weigh less the more classes a task has. log_target: the
    # logarithm of a probability that underflowed to 0 would be -inf.
    kl = functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
    # The gradient with respect to the logits shrinks as 1 / temperature^2 (section 2 of the
    # paper): the factor keeps the weight of this term the same at every temperature.
    return kl * temperature**2


def binary_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``divergence`` for independent labels: each logit [n, labels] stands for a
    distribution over yes and no. The sum over labels, the mean over n."""
    # sigmoid(z) is the first entry of softmax([z, 0]), so a pair of logits (z, 0) for each
    # label makes it a problem of two classes: [n, labels] -> [n, labels, 2] -> [n * labels,
    # 2].
    of_student = torch.stack([student, torch.zeros_like(student)], dim=-1).flatten(0, -2)
    of_teacher = torch.stack([teacher, torch.zeros_like(teacher)], dim=-1).flatten(0, -2)
    # ``divergence`` is a mean over n * labels; times the labels it is the sum over them.
    return divergence(of_student, of_teacher, temperature) * student.shape[-1]


def squared_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of predicted numbers [n, 1], for regression."""
    return functional.mse_loss(student.float(), teacher.float())


def hidden_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of 1 - cosine similarity of hidden states [n, width]: 0 where the directions are
    equal.

    Only directions are compared, so a student may have states of another length. Sanh et
    al. 2019, section 3 (arXiv:1910.01108)."""
    return (1 - functional.cosine_similarity(student.float(), teacher.float(), dim=-1)).mean()
