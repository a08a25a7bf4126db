"""A mean over many lines of logits, some lines at a time: their probabilities, and their copies in
float32, never stand in memory for all lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from compress.choices import spans

Distance = Callable[[Tensor, int, int], tuple[Tensor, Tensor]]
"""From lines, float32 [k, width], which are those from ``start`` to ``stop`` of all, to the sum of
their distances, a scalar, and its gradient [k, width]."""


def in_chunks(values: Tensor, rows: Tensor | None, distance: Distance) -> Tensor:
    """The mean distance of the lines of ``values`` [m, width] at ``rows``, int64 [n] (None: all); a
    float32 scalar.

    Beside ``values`` only their gradient is kept, in their dtype, which the backward pass needs in
    any case. It is computed together with the value, so each line's softmax is taken once. So the
    backward pass works once."""
    mean: Tensor = _InChunks.apply(values, rows, distance)  # type: ignore[no-untyped-call]
    return mean


class _InChunks(Function):
    """``in_chunks`` for autograd."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: Tensor | None, distance: Distance) -> Tensor:
        count = len(values) if rows is None else len(rows)
        total = values.new_zeros((), dtype=torch.float32)
        gradient = torch.zeros_like(values) if ctx.needs_input_grad[0] else None
        for start, stop in spans(count, values.shape[-1]):
            place = slice(start, stop) if rows is None else rows[start:stop]
            value, slope = distance(values[place].float(), start, stop)
            total += value
            if gradient is not None:
                gradient[place] = slope.div_(count).to(gradient.dtype)
        ctx.gradient = gradient
        return total / count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        gradient, ctx.gradient = ctx.gradient, None
        return gradient.mul_(upstream), None, None
