"""What a PyTorch model in memory is made of: its parameters by part, and the multiply-accumulates
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
    """Parameters by part, and multiply-accumulates of one example of ``length`` tokens or as many
    as the model has positions for; None for a model whose parameters are not all floats."""
    if not all(p.is_floating_point() for p in session.model.parameters()):
        return None
    taken = min(length, positions(session.model) or length)
    return Counts(parameters_by_part(session.model), macs(session, taken), taken)


def parameters_by_part(model: PreTrainedModel) -> dict[str, int]:
    """Parameters of the ``embeddings`` (every ``nn.Embedding``, and all of a module called
    ``embeddings``), of the ``head`` (what is outside of the base model) and of the ``layers`` (the
    rest); a shared one counts once, as an embedding where it is one."""
    embeddings = {
        id(p)
        for name, module in model.named_modules()
        for p in module.parameters()
        if isinstance(module, nn.Embedding) or name.rpartition(".")[2] == "embeddings"
    }
    base = {id(p) for p in model.base_model.parameters()}
    found = dict.fromkeys(("embeddings", "layers", "head"), 0)
    for parameter in model.parameters():
        part = (
            "embeddings"
            if id(parameter) in embeddings
            else "layers"
            if id(parameter) in base
            else "head"
        )
        found[part] += parameter.numel()
    return found


def positions(model: PreTrainedModel) -> int | None:
    """The longest example that the model has positions for; None where its config names no
    limit."""
    return sizes.positions(model.config.to_dict())


def macs(session: TorchSession, length: int) -> int:
    """Multiply-accumulates of the matrix products of one example of ``length`` tokens: half of what
    torch's ``FlopCounterMode`` counts, with recurrent modules by their own formula.

    Attention runs unfused meanwhile: of the fused kernel for processors torch 2.13 counts
    nothing."""
    ends = (
        session.model.config.eos_token_id
    )  # an encoder-decoder's classifier reads its answer at such a token
    ids = np.full((1, length), ends if isinstance(ends, int) else 0, dtype=np.int64)
    batch = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    with (
        FlopCounterMode(display=False) as counter,
        _recurrent(session.model, counter) as recurrent,
        sdpa_kernel(SDPBackend.MATH),
    ):
        session.run(batch)
    return counter.get_total_flops() // 2 + sum(recurrent)


@contextmanager
def _recurrent(model: nn.Module, counter: FlopCounterMode) -> Iterator[list[int]]:
    """A list that fills with what the count of each call of an LSTM, GRU or RNN has to be corrected
    by.

    Whether torch counts their products depends on the kernel: nothing in oneDNN's and cuDNN's, all
    of them in its own."""
    found: list[int] = []
    before: list[int] = []

    def enter(module: nn.Module, given: tuple[Any, ...]) -> None:
        before.append(counter.get_total_flops())

    def leave(
        module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], outputs: Any
    ) -> None:
        counted = (counter.get_total_flops() - before.pop()) // 2
        found.append(
            recurrent_macs(module, _tokens(given[0] if given else named["input"])) - counted
        )

    modules = [m for m in model.modules() if isinstance(m, _RECURRENT)]
    hooks = [m.register_forward_pre_hook(enter) for m in modules]
    hooks += [m.register_forward_hook(leave, with_kwargs=True) for m in modules]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def recurrent_macs(module: nn.Module, tokens: int) -> int:
    """Multiply-accumulates of an ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` for ``tokens`` tokens.

    In the equations of their documentation every element of ``W_ih``, ``W_hh`` and ``W_hr`` meets
    each token once: 4, 3 or 1 gates of hidden x (input + recurrent) for each layer and direction,
    and hidden x projection where there is one."""
    return tokens * sum(
        p.numel()
        for name, p in module.named_parameters(recurse=False)
        if name.startswith("weight_")
    )


def _tokens(inputs: Any) -> int:
    """Tokens of a recurrent module's input [..., width], which may be packed."""
    values: torch.Tensor = (
        inputs.data if isinstance(inputs, nn.utils.rnn.PackedSequence) else inputs
    )
    return values.numel() // values.shape[-1]
