"""Losses of distillation: pure functions of tensors. They compute in float32, also where
the forward pass used bf16.

bf16 has 8 bits of precision, in which a softmax loses the small differences between
unlikely classes. But these differences are what a teacher adds to the labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from compress.choices import Choices
from compress.distilling.chunks import in_chunks
from compress.distilling.menu import LogitsLoss, needs_all
from compress.distilling.sparse import from_sample, from_top
from compress.teacher import Pair

Distance = Callable[[Tensor, Tensor], Tensor]
"""From a student's and a teacher's numbers [n, width] to their mean distance, a float32 scalar."""

_AT_ONCE = 1 << 22
"""Numbers of a teacher, 16 MB in float32, up to which autograd compares all at once."""


def answers_distance(pair: Pair, chosen: LogitsLoss) -> Tensor:
    """How far a student's answers are from its teacher's, compared as their task and the options
    say, without the weight; a float32 scalar. Without an answer it is 0.

    Raises ValueError where some choices stand for the teacher's answers, and all are needed."""
    if not pair.count:
        return pair.student.float().sum()  # 0; a mean over nothing is no number
    temperature, beta = chosen.temperature, chosen.beta
    teacher = pair.teacher
    if isinstance(teacher, Choices):
        return _sparse_divergence(pair, teacher, chosen)
    if chosen.distance == "mse" or pair.divergence == "regression":
        distance: Distance = squared_error
    elif pair.divergence == "binary":
        distance = partial(binary_divergence, temperature=temperature, beta=beta)
    else:
        distance = partial(divergence, temperature=temperature, beta=beta)
    if teacher.numel() <= _AT_ONCE:
        return distance(pair.student, teacher)
    return _long_distance(pair, teacher, distance)


def divergence(student: Tensor, teacher: Tensor, temperature: float, beta: float = 0.0) -> Tensor:
    """Kullback-Leibler divergence KL(teacher || student), mean over n, times the square of
    the temperature; a float32 scalar.

    ``student`` and ``teacher`` are logits [n, classes]. Both are first divided by the
    temperature, so that unlikely classes count more. The result is 0 exactly if the two
    distributions are equal; a cross-entropy with soft labels would leave the teacher's
    entropy. Hinton et al. 2015, section 2 (arXiv:1503.02531).

    With a ``beta`` of 1 it is the reverse, KL(student || teacher). Between them it is the
    generalised Jensen-Shannon divergence: beta KL(teacher || m) + (1 - beta) KL(student || m), with
    m = beta teacher + (1 - beta) student. Agarwal et al. 2024, section 2 (arXiv:2306.13649)."""
    log_student = functional.log_softmax(student.float() / temperature, dim=-1)
    log_teacher = functional.log_softmax(teacher.float() / temperature, dim=-1)
    # The gradient with respect to the logits shrinks as 1 / temperature^2 (section 2 of the
    # paper). The factor undoes that, so that this term weighs the same at every
    # temperature.
    return _kl(log_student, log_teacher, beta) * temperature**2


def _kl(log_student: Tensor, log_teacher: Tensor, beta: float) -> Tensor:
    if beta == 0:
        return _from(log_student, log_teacher)
    if beta == 1:
        return _from(log_teacher, log_student)
    mixed = torch.logaddexp(log_teacher + math.log(beta), log_student + math.log1p(-beta))
    return beta * _from(mixed, log_teacher) + (1 - beta) * _from(mixed, log_student)


def _from(log_other: Tensor, log_own: Tensor) -> Tensor:
    """KL(own || other) of logarithms of probabilities [n, classes], mean over n."""
    # "batchmean" sums over classes and divides by n. "mean" would also divide by the number
    # of classes, and the term would weigh less in a task with more classes. With
    # log_target the logarithms are used as they are: from a probability that underflowed to 0 they
    # would be -inf.
    return functional.kl_div(log_other, log_own, reduction="batchmean", log_target=True)


def binary_divergence(
    student: Tensor, teacher: Tensor, temperature: float, beta: float = 0.0
) -> Tensor:
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
    return divergence(of_student, of_teacher, temperature, beta) * student.shape[-1]


def _long_distance(pair: Pair, teacher: Tensor, distance: Distance) -> Tensor:
    """A ``distance`` of so many numbers that their probabilities do not stand in memory at once."""

    def of_some(student: Tensor, start: int, stop: int) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            some = student.detach().requires_grad_()
            mean = distance(some, teacher[start:stop])
            (slope,) = torch.autograd.grad(mean * (stop - start), some)
        return mean.detach() * (stop - start), slope

    return in_chunks(pair.values, pair.rows, of_some)


def _sparse_divergence(pair: Pair, teacher: Choices, chosen: LogitsLoss) -> Tensor:
    """An estimate of ``divergence`` from some choices of the teacher's answers."""
    if needs_all(chosen):
        raise ValueError("beta above 0 and mse need the teacher's answer for every choice")
    of_choices = from_sample if teacher.form == "sample" else from_top

    def of_some(student: Tensor, start: int, stop: int) -> tuple[Tensor, Tensor]:
        return of_choices(student, teacher.part(start, stop), chosen.temperature)

    return in_chunks(pair.values, pair.rows, of_some)


def squared_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over n of the mean squared difference of numbers [n, width]; a float32 scalar in the
    square of their unit.

    The numbers are predicted ones, or logits, whose difference is what a divergence becomes at high
    temperatures: Hinton et al. 2015, section 2.1 (arXiv:1503.02531). Choices that do not count are
    equal on both sides."""
    return functional.mse_loss(student.float(), teacher.float())


def states_distance(student: Tensor, teacher: Tensor, distance: str) -> Tensor:
    """How far hidden states [n, width] are from a teacher's: ``cosine`` or ``mse``; a float32
    scalar. Without a state it is 0."""
    if not len(student):
        return student.float().sum()
    return (hidden_distance if distance == "cosine" else squared_error)(student, teacher)


def hidden_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over n of 1 - cosine similarity of hidden states [n, width]: 0 if the directions
    are equal, at most 2; a float32 scalar.

    Only directions are compared, so the vectors of a student may be longer or shorter than
    the teacher's. Both need the same width. Sanh et al. 2019, section 3
    (arXiv:1910.01108)."""
    return (1 - functional.cosine_similarity(student.float(), teacher.float(), dim=-1)).mean()
