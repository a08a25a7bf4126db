"""The loss of tokens of which few have a label, from logits of these few alone.

A masked language model is asked for 15 % of its tokens. In a small model with a large vocabulary
most of the work of a step would be logits that no loss reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from compress.task import IGNORED


def labelled_loss(
    forward: Callable[[Mapping[str, Tensor]], Any],
    model: PreTrainedModel,
    batch: Mapping[str, Tensor],
) -> Tensor:
    """The mean cross-entropy of the tokens that have a label, a float32 scalar in nats: what
    transformers' own masked language models compute.

    ``forward`` is the forward pass of ``model``; ``labels`` of ``batch`` are int64 [batch, length],
    IGNORED where a token has none. A family that does not call its output embeddings as a module
    computes all logits."""
    labels = batch["labels"]
    kept = labels != IGNORED
    unlabelled = {name: value for name, value in batch.items() if name != "labels"}
    with _read_only(model.get_output_embeddings(), kept):
        logits = forward(unlabelled).logits
    if logits.dim() == 3:
        logits = logits[kept]
    return functional.cross_entropy(logits.float(), labels[kept])


@contextmanager
def _read_only(embeddings: nn.Module | None, kept: Tensor) -> Iterator[None]:
    """Output embeddings read the tokens that are ``kept``, bool [batch, length], alone: their
    logits are [kept, vocabulary]."""
    if embeddings is None:
        yield
        return
    handle = embeddings.register_forward_pre_hook(lambda _, inputs: (inputs[0][kept], *inputs[1:]))
    try:
        yield
    finally:
        handle.remove()
