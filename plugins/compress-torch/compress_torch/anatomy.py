"""Counts of a PyTorch model in memory: its parameters by part, and the multiply-accumulates
of one example."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from compress import sizes
from compress.engine import Counts
from compress.sessions import TorchSession

_RECURRENT = (nn.LSTM, nn.GRU, nn.RNN)


def counts(session: TorchSession, length: int) -> Counts | None:
    """Parameters by part, and multiply-accumulates of one example of ``length`` tokens, or
    of as many as the model has positions for. None for a model whose parameters are not all
    floats."""
    if not all(p.is_floating_point() for p in session.model.parameters()):
        return None
    tokens = min(length, positions(session.model) or length)
    return Counts(parameters_by_part(session.model), macs(session, tokens), tokens)


def parameters_by_part(model: PreTrainedModel) -> dict[str, int]:
    """Number of parameters of the ``embeddings``, the ``layers`` and the ``head``.

    Embeddings are the parameters of every ``nn.Embedding`` and of every module called
    ``embeddings``. The head is everything outside of the base model. Layers are the rest. A
    shared parameter counts once, as an embedding if it is one."""
    embeddings: set[int] = set()
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) or name.rpartition(".")[2] == "embeddings":
            embeddings.update(map(id, module.parameters()))
    base = set(map(id, model.base_model.parameters()))
    counts = dict.fromkeys(("embeddings", "layers", "head"), 0)
    for parameter in model.parameters():
        if id(parameter) in embeddings:
            part = "embeddings"
        else:
            part = "layers" if id(parameter) in base else "head"
        counts[part] += parameter.numel()
    return counts


def positions(model: PreTrainedModel) -> int | None:
    """Tokens of the longest example that the model has positions for; None without a
    limit."""
    return sizes.positions(model.config.to_dict())


def macs(session: TorchSession, length: int) -> int:
    """Multiply-accumulates of the matrix products of one example of ``length`` tokens.

    torch's ``FlopCounterMode`` counts a multiplication and an addition as two, so its count
    is halved. Recurrent modules follow a formula of their own. Attention runs unfused
    during the count: torch 2.13 counts nothing of the fused kernel for processors."""
    # The classifier of an encoder-decoder reads its answer at an end-of-text token, so the
    # example must hold one.
    ends = session.model.config.eos_token_id
    ids = np.full((1, length), ends if isinstance(ends, int) else 0, dtype=np.int64)
    batch = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    with (
        FlopCounterMode(display=False) as counter,
        _recurrent(session.model, counter) as recurrent,
        sdpa_kernel(SDPBackend.MATH),
    ):
        session.run(batch)
    products = int(counter.get_total_flops()) // 2
    return products + sum(recurrent)


@contextmanager
def _recurrent(model: nn.Module, counter: FlopCounterMode) -> Iterator[list[int]]:
    """A list that gets a number for each call of an LSTM, GRU or RNN: what to add to
    torch's count.

    It is the number by the formula less the number that torch counted. torch counts none of
    their products in the kernels of oneDNN and cuDNN, and all of them in its own."""
    corrections: list[int] = []
    before: list[int] = []

    def enter(module: nn.Module, given: tuple[Any, ...]) -> None:
        before.append(counter.get_total_flops())

    def leave(
        module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], outputs: Any
    ) -> None:
        counted = (counter.get_total_flops() - before.pop()) // 2
        tokens = _tokens(given[0] if given else named["input"])
        corrections.append(recurrent_macs(module, tokens) - counted)

    modules = [m for m in model.modules() if isinstance(m, _RECURRENT)]
    hooks = [m.register_forward_pre_hook(enter) for m in modules]
    hooks += [m.register_forward_hook(leave, with_kwargs=True) for m in modules]
    try:
        yield corrections
    finally:
        for hook in hooks:
            hook.remove()


def recurrent_macs(module: nn.Module, tokens: int) -> int:
    """Multiply-accumulates of an ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` for ``tokens``
    tokens.

    In the equations of their documentation every element of ``W_ih``, ``W_hh`` and ``W_hr``
    is multiplied once for each token: 4, 3 or 1 gates of hidden x (input + recurrent) for
    each layer and direction, and hidden x projection where there is one."""
    weights = 0
    for name, parameter in module.named_parameters(recurse=False):
        if name.startswith("weight_"):
            weights += parameter.numel()
    return tokens * weights


def _tokens(inputs: Any) -> int:
    """Tokens of a recurrent module's input [..., width], which may be packed."""
    values: torch.Tensor = (
        inputs.data if isinstance(inputs, nn.utils.rnn.PackedSequence) else inputs
    )
    return values.numel() // values.shape[-1]
