"""How far a student is from some choices that stand for its teacher's answers: values and gradients
of lines, without autograd. A loss in ``chunks`` calls them for some lines at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from compress.choices import Choices


def from_sample(student: Tensor, teacher: Choices, temperature: float) -> tuple[Tensor, Tensor]:
    """An unbiased estimate of KL(teacher || student) times the square of the temperature, summed
    over the lines of ``student``, logits [k, width], and its gradient [k, width], both float32.

    With the shares w of the choices that were drawn, it is the sum of w (log p - log q). A choice's
    log p is that of the teacher at the ``temperature`` of the draws, so a student that agrees
    with its teacher has a distance of 0, whatever was drawn. The gradient is q - w, and the
    expectation of w is p. Anshumann et al. 2025, section 3 (arXiv:2503.16870)."""
    logits = student if temperature == 1 else student / temperature
    shares, norms = _softmax(logits)
    lines = teacher.lines
    logs = logits[lines, teacher.ids] - norms[lines]
    value = teacher.constants.sum() - (teacher.weights * logs).sum()
    shares[lines, teacher.ids] -= teacher.weights
    return value * temperature**2, shares if temperature == 1 else shares.mul_(temperature)


def from_top(student: Tensor, teacher: Choices, temperature: float) -> tuple[Tensor, Tensor]:
    """KL(teacher || student) over the teacher's top choices and all others as one, times the square
    of the temperature; as in ``from_sample``.

    It is never above the divergence over all choices, and says nothing of how the others share
    their probability: a biased estimate."""
    logits = student if temperature == 1 else student / temperature
    shares, norms = _softmax(logits)
    lines, ids, rest = teacher.lines, teacher.ids, teacher.constants
    logs = logits[lines, ids] - norms[lines]
    own = shares[lines, ids]
    shares[lines, ids] = 0.0
    own_rest = shares.sum(dim=-1).clamp_min(torch.finfo(torch.float32).tiny)
    among = torch.xlogy(teacher.weights, teacher.weights) - teacher.weights * logs
    value = among.sum() + (torch.xlogy(rest, rest) - rest * own_rest.log()).sum()
    shares *= (1 - rest / own_rest)[:, None]
    shares[lines, ids] = own - teacher.weights
    return value * temperature**2, shares if temperature == 1 else shares.mul_(temperature)


def _softmax(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The softmax [k, width] of ``logits``, and the logarithms of their norms [k]."""
    shares = logits.softmax(dim=-1)
    most, place = logits.max(dim=-1, keepdim=True)
    # The greatest probability is at least 1 / width, so its logarithm is exact enough; and the
    # exponentials are computed once.
    return shares, (most - shares.gather(-1, place).log())[:, 0]
