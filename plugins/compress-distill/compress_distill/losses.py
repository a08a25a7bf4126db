"""Losses of distillation: pure functions of tensors. They compute in float32, also where
the forward pass used bf16.

bf16 has 8 bits of precision, in which a softmax loses the small differences between
unlikely classes. But these differences are what a teacher adds to the labels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from compress.teacher import Pair


def answers_distance(pair: Pair, temperature: float) -> Tensor:
    """How far a student's answers are from its teacher's, compared as their task says; a float32
    scalar. Without an answer it is 0."""
    student, teacher = pair.student, pair.teacher
    if not len(student):
        return student.float().sum()  # 0; a mean over nothing is no number
    if pair.divergence == "regression":
        return squared_error(student, teacher)
    if pair.divergence == "states":
        return hidden_distance(student, teacher)
    compare = binary_divergence if pair.divergence == "binary" else divergence
    return compare(student, teacher, temperature)


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence KL(teacher || student), mean over n, times the square of
    the temperature; a float32 scalar.

    ``student`` and ``teacher`` are logits [n, classes]. Both are first divided by the
    temperature, so that unlikely classes count more. The result is 0 exactly if the two
    distributions are equal; a cross-entropy with soft labels would leave the teacher's
    entropy. Hinton et al. 2015, section 2 (arXiv:1503.02531)."""
    log_student = functional.log_softmax(student.float() / temperature, dim=-1)
    log_teacher = functional.log_softmax(teacher.float() / temperature, dim=-1)
    # "batchmean" sums over classes and divides by n. "mean" would also divide by the number
    # of classes, and the term would weigh less in a task with more classes. With
    # log_target the teacher's logarithms are used as they are: from a probability that
    # underflowed to 0 they would be -inf.
    kl = functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
    # The gradient with respect to the logits shrinks as 1 / temperature^2 (section 2 of the
    # paper). The factor undoes that, so that this term weighs the same at every
    # temperature.
    return kl * temperature**2


def binary_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``divergence`` for independent labels: sum over the labels, mean over n; a float32
    scalar.

    ``student`` and ``teacher`` are [n, labels]. Each logit gives a distribution over yes
    and no. A softmax over the labels would be wrong: several of them may be right."""
    # sigmoid(z) is the first entry of softmax([z, 0]). So a pair of logits (z, 0) makes each
    # label a problem of two classes: [n, labels] -> [n, labels, 2] -> [n * labels, 2].
    of_student = torch.stack([student, torch.zeros_like(student)], dim=-1).flatten(0, -2)
    of_teacher = torch.stack([teacher, torch.zeros_like(teacher)], dim=-1).flatten(0, -2)
    # ``divergence`` is a mean over n * labels. Times the number of labels it is a sum over
    # the labels, and the mean over n.
    return divergence(of_student, of_teacher, temperature) * student.shape[-1]


def squared_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of predicted numbers [n, 1], for regression; a float32
    scalar in the square of the label's unit."""
    return functional.mse_loss(student.float(), teacher.float())


def hidden_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over n of 1 - cosine similarity of hidden states [n, width]: 0 if the directions
    are equal, at most 2; a float32 scalar.

    Only directions are compared, so the vectors of a student may be longer or shorter than
    the teacher's. Both need the same width. Sanh et al. 2019, section 3
    (arXiv:1910.01108)."""
    return (1 - functional.cosine_similarity(student.float(), teacher.float(), dim=-1)).mean()
