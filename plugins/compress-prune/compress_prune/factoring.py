"""Give the embeddings of a model a lower rank."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from compress.artifact import Artifact
from compress.errors import NothingChanged, UsageError
from compress.lowrank import embedding_sizes, factor_embeddings, largest_rank
from compress.models import open_model
from compress.processor import TextProcessor
from compress.shapes import settle
from compress.sizes import layout_of
from compress.stage import Context, Made
from compress_prune.corpus import count_rows
from compress_prune.finishing import finish
from compress_prune.lowrank import EmbeddingsOptions

_DIGITS = 4


def factor(context: Context[EmbeddingsOptions]) -> Made:
    """Write the model with small embeddings into ``context.output``.

    Raises UsageError where the two matrices of a rank are no smaller than the one, and
    NothingChanged for a share, of which a step that backs off takes more and more."""
    source, options = context.input, context.options
    assert source is not None, "a plan gives this stage an input"
    model = open_model(source, context.task, "cuda" if torch.cuda.is_available() else "cpu")
    architecture, _ = layout_of(model.config.model_type, context.architectures)
    tokens, width = embedding_sizes(model)
    rank = options.rank if isinstance(options.rank, int) else max(1, round(options.rank * width))
    if isinstance(options.rank, float) and rank > largest_rank(model):
        raise NothingChanged(
            f"rank: a share of {options.rank} makes embeddings that are no smaller, of {tokens} "
            f"tokens and width {width}: take less, or leave the step out"
        )
    if rank >= min(tokens, width):
        raise UsageError(
            f"rank: {options.rank} is not less than the rank of the embeddings, of {tokens} tokens "
            f"and width {width}: take less, or leave the step out"
        )
    weights = context.first(lambda: _frequencies(context, source, tokens))
    kept = factor_embeddings(model, rank, weights.to(model.device))
    edits = settle(model, architecture)
    notes: dict[str, Any] = {"rank": rank, "width": width, "kept": round(kept, _DIGITS)}
    return finish(model, context, options.recover, edits, notes)


def _frequencies(context: Context[Any], source: Artifact, tokens: int) -> Tensor:
    """How often each token is in the training rows, and once more: float64 [tokens]. So the vector
    of a token that they do not have counts too."""
    processor = context.task.processor(source.folder)
    assert isinstance(processor, TextProcessor), "the plan refuses other tasks"
    weights = torch.ones(tokens, dtype=torch.float64)
    for token, count in count_rows(context, processor).items():
        weights[token] += count
    return weights
