"""Layers that compute in floats what int8 layers would give, and pass gradients on as if nothing
were rounded. Only torch, no graphs.

Weights are rounded as ONNX Runtime's quantizer rounds them: between their own limits, which move
with them (Jacob et al. 2018, section 3.1, arXiv:1712.05877). Inputs are rounded between two limits
that are learned: the gradient is that of Esser et al. 2020, LSQ, section 2 (arXiv:1902.08153), and
the logarithm of a limit is what moves, as in Jain et al. 2020, TQT, section 3.3 (arXiv:1903.08066).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

STEPS = 255
"""Between the lowest and the highest number that 8 bits without a sign can say."""
_REDUCED = {STEPS: 127, 254: 128}
"""Steps where weights use 7 of 8 bits: of embeddings, and of products on both sides of 0."""
_RATE = 100.0
"""How much faster a limit's logarithm moves than a weight. AdamW moves both by about the learning
rate in a step: a limit then by half a percent at 5e-5. TQT has a rate of 1e-2 for logarithms."""
_LEAST = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Int8Layer:
    """A module that is int8 in the graph: its name, the axis of its weight that has a scale for
    each place (None: one scale for all), and the number of its input's range (None: its input is
    not rounded)."""

    module: str
    axis: int | None = None
    input: int | None = None


class LearnedRanges(nn.Module):
    """The ranges of inputs, float32 [ranges, 2] from their ``start``: the lowest and the highest
    number of each, with 0 between them. A limit that starts at 0 stays there."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.start: Tensor
        self.register_buffer("start", start)
        self.logs = nn.Parameter(torch.zeros_like(start))

    def forward(self, number: int) -> Tensor:
        """The limits (float32 [2]) of a range."""
        made: Tensor = self.start[number] * torch.exp(_RATE * self.logs[number])
        return made

    def all(self) -> Tensor:
        """The limits (float32 [ranges, 2]) of all ranges, on the host, without gradients."""
        numbers = [self(number).detach().cpu() for number in range(len(self.start))]
        return torch.stack(numbers) if numbers else self.start.cpu()


@contextmanager
def fake_quantized(
    module: nn.Module, layers: Sequence[Int8Layer], ranges: LearnedRanges, *, reduce_range: bool
) -> Iterator[None]:
    """Within the block the ``layers`` of ``module`` round their weights, and their inputs within
    their ``ranges``."""
    with ExitStack() as stack:
        for layer in layers:
            one = module.get_submodule(layer.module)
            before, after = _hooks(layer, ranges, reduce_range)
            stack.callback(one.register_forward_pre_hook(before).remove)
            # Also after an error, or the module would keep a weight that is no parameter.
            stack.callback(one.register_forward_hook(after, always_call=True).remove)
        yield


def _hooks(
    layer: Int8Layer, ranges: LearnedRanges, reduce_range: bool
) -> tuple[Callable[..., Any], Callable[..., None]]:
    """What runs before a layer and after it. The parameter keeps its place and its name, so that
    optimizer and checkpoint see the model as it is."""
    stored: list[Any] = []

    def before(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        weight = module._parameters["weight"]
        assert weight is not None, "a layer of a graph has a matrix"
        stored.append(weight)
        module._parameters["weight"] = rounded_weight(  # type: ignore[assignment]
            weight, layer.axis, reduce_range=reduce_range
        )
        if layer.input is None:
            return inputs
        return (rounded(inputs[0], ranges(layer.input)), *inputs[1:])

    def after(module: nn.Module, *_: Any) -> None:
        module._parameters["weight"] = stored.pop()

    return before, after


def rounded_weight(weight: Tensor, axis: int | None, *, reduce_range: bool) -> Tensor:
    """The float32 numbers that the int8 form of a matrix stands for. With an ``axis`` each place of
    it has a scale, and 0 is in the middle; without, all have one scale, between the lowest and
    the highest number. The gradient is that of ``weight`` itself: nothing is beyond the limits."""
    limits = weight.detach()
    if axis is None:
        steps = _REDUCED[STEPS] if reduce_range else STEPS
        low, high = limits.amin().clamp(max=0), limits.amax().clamp(min=0)
        step, zero = _grid(low, high, steps)
        return torch.fake_quantize_per_tensor_affine(weight, step, zero, 0, steps)
    steps = _REDUCED[254] if reduce_range else 254
    step = limits.abs().amax(dim=1 - axis) * 2 / steps
    step = torch.where(step < _LEAST, 1.0, step)
    zeros = torch.zeros_like(step, dtype=torch.int32)
    half = steps // 2
    return torch.fake_quantize_per_channel_affine(weight, step, zeros, axis, -half, half)


def rounded(values: Tensor, limits: Tensor) -> Tensor:
    """``values`` as the 256 numbers between two ``limits`` (float32 [2]) that 0 is one of; float32.
    What is beyond becomes a limit.

    The gradient of ``values`` is handed on between the limits. That of the limits is of what each
    does: of values beyond it as a whole, of those between by their rounding (Esser et al. 2020,
    equation 3), over the root of their number times ``STEPS`` (section 2.2)."""
    made: Tensor = _Rounded.apply(values.float(), limits)  # type: ignore[no-untyped-call]
    return made


def _grid(low: Tensor, high: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """The step (float32) and the place of 0 (int32) of a range."""
    step = (high - low) / steps
    empty = step < _LEAST
    step = torch.where(empty, 1.0, step)
    zero = torch.where(empty, 0.0, (-low / step).round())
    return step, zero.clamp(0, steps).to(torch.int32)


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, limits: Tensor) -> Tensor:
        step, zero = _grid(limits[0], limits[1], STEPS)
        made: Tensor = torch.fake_quantize_per_tensor_affine(values, step, zero, 0, STEPS)
        ctx.save_for_backward(values, made, step, zero)
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        values, made, step, zero = ctx.saved_tensors
        below, above = values < -zero * step, values > (STEPS - zero) * step
        within = gradient.masked_fill(below | above, 0)
        by_rounding = (within * (made - values)).sum() / (step * STEPS)
        low = (gradient * below).sum() - by_rounding
        high = (gradient * above).sum() + by_rounding
        return within, torch.stack([low, high]) / math.sqrt(values.numel() * STEPS)
