"""What makes a training quicker on a processor, beside bf16: dropout from few random bits, and
attention without the fused kernel where that is slower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

_STOCK_DROPOUT = functional.dropout

_SHORT = 256
"""Tokens up to which attention without the fused kernel trains as quickly or quicker in bf16."""


@contextmanager
def quick_on_processor(model: PreTrainedModel, in_bf16: bool, longest: int) -> Iterator[None]:
    """Train quickly on a processor within the context; on a GPU nothing changes.

    ``longest`` is the number of tokens of the longest example. What is drawn for dropout depends on
    torch's generator alone, as before, so a resumed training draws the same."""
    if torch.cuda.is_available():
        yield
        return
    attention = model.config._attn_implementation
    unfused = attention == "sdpa" and in_bf16 and (longest <= _SHORT or _drops_attention(model))
    functional.dropout = dropout
    if unfused:
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        functional.dropout = _STOCK_DROPOUT
        if unfused:
            model.set_attn_implementation(attention)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """``torch.nn.functional.dropout`` with 16 random bits for each element.

    torch draws a number for each element from its generator, on one thread, which costs up to a
    third of a training. Four elements share one number here, which is 6 times as quick. ``p`` is
    rounded to a multiple of 2**-16, and what is kept is scaled by the share that is kept."""
    dropped = round(p * 2**16)
    if not training or not 0 < dropped < 2**16:
        return _STOCK_DROPOUT(input, p, training, inplace)
    count = input.numel()
    numbers = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    bits = numbers.view(torch.int16)[:count].view(input.shape)
    noise = torch.ge(bits, dropped - 2**15, out=torch.empty(input.shape, dtype=input.dtype))
    noise.mul_(2**16 / (2**16 - dropped))
    return input.mul_(noise) if inplace else input * noise


def _drops_attention(model: PreTrainedModel) -> bool:
    """Whether the model drops weights of attention, which the fused kernel does not take on a
    processor."""
    options = model.config.to_dict().items()
    return any("att" in name and "drop" in name and bool(value) for name, value in options)
