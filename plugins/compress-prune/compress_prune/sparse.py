"""Which weights of a matrix become zero: pure functions of tensors.

A matrix W [outputs, inputs] multiplies inputs x [inputs]. A mask, bool [outputs, inputs], is True
where a weight becomes zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

_BLOCK = 128
"""Columns that SparseGPT chooses from at once (its section 3.3)."""
_DAMPING = 0.01
"""What is added to the diagonal of a Hessian, as a share of its mean."""


def lowest(scores: Tensor, count: int) -> Tensor:
    """A mask of the ``count`` lowest scores, of their shape; among equal ones the first."""
    mask = torch.zeros(scores.numel(), dtype=torch.bool, device=scores.device)
    mask[torch.argsort(scores.flatten(), stable=True)[:count]] = True
    return mask.view(scores.shape)


def lowest_of_rows(scores: Tensor, share: float) -> Tensor:
    """A mask of the ``share`` of lowest scores of each row of [rows, columns], rounded to a whole
    number."""
    count = round(share * scores.shape[1])
    order = torch.argsort(scores, dim=1, stable=True)[:, :count]
    return torch.zeros_like(scores, dtype=torch.bool).scatter(1, order, True)


def lowest_of_groups(scores: Tensor, keep: int, group: int) -> Tensor:
    """A mask of all but the ``keep`` highest scores of each ``group`` adjacent columns. ``group``
    divides the number of columns."""
    groups = scores.reshape(-1, group)
    order = torch.argsort(groups, dim=1, stable=True)[:, : group - keep]
    mask = torch.zeros_like(groups, dtype=torch.bool).scatter(1, order, True)
    return mask.view(scores.shape)


def wanda_scores(weight: Tensor, gram: Tensor) -> Tensor:
    """|W_ij| times the norm of input j over the data [outputs, inputs] (Sun et al. 2023, equation
    1). ``gram`` is the sum of x x^T [inputs, inputs]."""
    norms: Tensor = gram.diagonal().clamp(min=0).sqrt()
    return weight.abs() * norms.to(weight.dtype)


def sparsegpt(
    weight: Tensor, gram: Tensor, share: float = 0.0, groups: tuple[int, int] | None = None
) -> Tensor:
    """``weight`` with zeros, float [outputs, inputs], and with its other weights changed so that
    the outputs change least (Frantar and Alistarh 2023, algorithm 1).

    ``gram`` is the sum of x x^T [inputs, inputs]. ``share`` of the weights become zero, chosen
    among 128 columns at a time; or, with ``groups`` (n, m), all but n of m adjacent ones."""
    made = weight.detach().double().clone()
    hessian = gram.double().clone()
    dead = hessian.diagonal() == 0  # an input that is always zero: its weights do not matter
    hessian[dead, dead] = 1
    made[:, dead] = 0
    hessian.diagonal().add_(_DAMPING * hessian.diagonal().mean())
    # Row i of this factor is, from column i on and over its diagonal, row i of the inverse of the
    # Hessian of the columns from i on.
    factor = torch.linalg.cholesky(
        torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True
    )
    rows, columns = made.shape
    zeros = torch.zeros_like(made, dtype=torch.bool)
    block = _BLOCK if groups is None else _BLOCK - _BLOCK % groups[1] or groups[1]
    for start in range(0, columns, block):
        end = min(start + block, columns)
        if groups is None:  # rounded so that the counts of all blocks add up
            count = round(share * rows * end) - round(share * rows * start)
            scores = _costs(made, factor, start, end)
            zeros[:, start:end] = lowest(scores, count)
        for i in range(start, end):
            if groups is not None and (i - start) % groups[1] == 0:
                scores = _costs(made, factor, i, i + groups[1])
                zeros[:, i : i + groups[1]] = lowest_of_groups(scores, *groups)
            error = torch.where(zeros[:, i], made[:, i], 0.0) / factor[i, i]
            made[:, i:] -= error[:, None] * factor[i, i:]
            made[zeros[:, i], i] = 0  # exactly, whatever was rounded
    return made.to(weight.dtype)


def _costs(weight: Tensor, factor: Tensor, start: int, end: int) -> Tensor:
    """What it costs to remove each weight of the columns from ``start`` to ``end`` (its equation
    3)."""
    return (weight[:, start:end] / factor.diagonal()[start:end]) ** 2
