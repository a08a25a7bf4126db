"""Embeddings of low rank: a matrix [tokens, width] becomes a product of two, [tokens, rank] and
[rank, width].

A head that shares the embeddings shares both. It then multiplies by them in the other order, and
never makes the large matrix. The second matrix has the name ``projection_weight`` beside
``weight``, which keeps its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from compress.edits import LowRankEdit
from compress.errors import CompressError, UsageError

_WEIGHT, _SECOND = "weight", "projection_weight"


class LowRankEmbedding(nn.Embedding):
    """``weight`` [tokens, rank] and ``projection_weight`` [rank, width]; a token's vector is its
    row times the latter, times ``scale``."""

    def __init__(
        self, weight: nn.Parameter, second: nn.Parameter, padding: int | None, scale: float
    ) -> None:
        tokens, rank = weight.shape
        super().__init__(tokens, rank, padding_idx=padding, _weight=weight)
        self.weight, self.projection_weight, self.scale = weight, second, scale

    def forward(self, input: Tensor) -> Tensor:
        """The vectors of token ids, [..., width]."""
        vectors = super().forward(input) @ self.projection_weight
        return vectors if self.scale == 1.0 else vectors * self.scale


class LowRankHead(nn.Linear):
    """A head whose weights are those of ``LowRankEmbedding``: a state [..., width] becomes
    [..., rank], and then a number for each token."""

    def __init__(
        self, weight: nn.Parameter, second: nn.Parameter, bias: nn.Parameter | None
    ) -> None:
        super().__init__(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
        self.weight, self.projection_weight = weight, second
        self.register_parameter("bias", bias)

    def forward(self, input: Tensor) -> Tensor:
        """The numbers of all tokens, [..., tokens]."""
        return super().forward(functional.linear(input, self.projection_weight))


def embedding_sizes(model: PreTrainedModel) -> tuple[int, int]:
    """(tokens, width) of the model's embeddings, whose rank is at most the smaller."""
    embedding: Any = model.get_input_embeddings()
    return embedding.weight.shape[0], getattr(embedding, _SECOND, embedding.weight).shape[1]


def largest_rank(model: PreTrainedModel) -> int:
    """The largest rank at which two matrices are smaller than the model's embeddings; 0 where none
    is."""
    embedding: Any = model.get_input_embeddings()
    before = sum(parameter.numel() for parameter in embedding.parameters())
    return int((before - 1) // sum(embedding_sizes(model)))


@torch.no_grad()
def factor_embeddings(model: PreTrainedModel, rank: int, weights: Tensor | None = None) -> float:
    """Give the model's embeddings, in place, this rank: the nearest matrix of that rank, by the
    singular values (Eckart and Young 1936). A head that shares them follows. With ``weights``
    [tokens], each row counts so often: the nearest matrix for the tokens of a corpus.

    Returns the share of the squared (and weighted) values that is kept, from 0 to 1. Raises
    UsageError where the two matrices are no smaller than the one, and CompressError for embeddings
    that are no ``torch.nn.Embedding``."""
    tokens, width = embedding_sizes(model)
    embedding: Any = model.get_input_embeddings()
    if isinstance(embedding, LowRankEmbedding):
        whole = embedding.weight @ embedding.projection_weight
    else:
        whole = embedding.weight.detach()
    largest = largest_rank(model)
    if rank > largest:
        raise UsageError(
            f"embeddings of rank {rank} are no smaller than these, of {tokens} tokens and width "
            f"{width}: take a rank of at most {max(largest, 1)}"
        )
    # The eigenvectors of E'E are the right singular vectors of E: [width, width], and not [tokens,
    # width], is decomposed. Each row of the best matrix is the projection of the row of E on them,
    # whatever the weights.
    rows = whole.double()
    counted = rows if weights is None else rows * weights.double()[:, None]
    values, vectors = torch.linalg.eigh(counted.T @ rows)
    second = vectors[:, -rank:].flip(1).T
    first = (rows @ second.T).to(whole.dtype)
    _replace(model, _sharing(model), nn.Parameter(first), nn.Parameter(second.to(whole.dtype)))
    return float(values[-rank:].sum() / values.sum().clamp_min(torch.finfo(values.dtype).tiny))


def low_rank_edit(model: PreTrainedModel) -> Iterator[LowRankEdit]:
    """An edit, if the embeddings are of low rank."""
    modules = dict(model.named_modules(remove_duplicate=False))
    found = {n: m for n, m in modules.items() if isinstance(m, LowRankEmbedding | LowRankHead)}
    if found:
        rank = next(iter(found.values())).weight.shape[1]
        yield {"op": "low_rank", "rank": rank, "modules": list(found)}


def replay_low_rank(model: PreTrainedModel, edit: Mapping[str, Any]) -> None:
    """Give an empty model embeddings of low rank, in place. Raises CompressError for an edit that
    does not fit it."""
    modules = dict(model.named_modules(remove_duplicate=False))
    found = {name: modules[name] for name in edit["modules"] if name in modules}
    if len(found) < len(edit["modules"]):
        absent = next(name for name in edit["modules"] if name not in modules)
        raise CompressError(f"an edit names {absent}, which this model does not have")
    weight: Any = next(iter(found.values())).weight
    first, second = (weight.new_empty(size) for size in _shapes(weight, edit["rank"]))
    _replace(model, found, nn.Parameter(first), nn.Parameter(second))


def in_stock(axes: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """The axes of a model's width, by the names of parameters in the stock model: there the
    embeddings have it, and not their second matrix."""
    return {name.replace(_SECOND, _WEIGHT): places for name, places in axes.items()}


def in_factors(model: PreTrainedModel, axes: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """The reverse of ``in_stock``: what has the width of embeddings of low rank is their second
    matrix, along its last axis."""
    own = dict(model.named_parameters(remove_duplicate=False))
    renamed = {name: name.removesuffix(_WEIGHT) + _SECOND for name in axes}
    return {renamed[n] if renamed[n] in own else n: places for n, places in axes.items()}


def _shapes(weight: Tensor, rank: int) -> tuple[tuple[int, int], tuple[int, int]]:
    tokens, width = weight.shape
    return (tokens, rank), (rank, width)


def _sharing(model: PreTrainedModel) -> dict[str, nn.Module]:
    """The modules whose weight is the embeddings', by name, these first."""
    embedding: Any = model.get_input_embeddings()
    modules = model.named_modules(remove_duplicate=False)
    found = {n: m for n, m in modules if getattr(m, _WEIGHT, None) is embedding.weight}
    return dict(sorted(found.items(), key=lambda item: item[1] is not embedding))


def _replace(
    model: PreTrainedModel,
    modules: Mapping[str, nn.Module],
    first: nn.Parameter,
    second: nn.Parameter,
) -> None:
    """Put the two matrices in the place of the weight of these modules, which stay tied."""
    made: dict[nn.Module, nn.Module] = {}  # a module may have several names
    for name, module in modules.items():
        if module not in made:
            made[module] = _factored(name, module, first, second)
        owner, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(owner), attribute, made[module])
    source, *others = modules
    tied = {f"{name}.{_SECOND}": f"{source}.{_SECOND}" for name in others}
    if tied:  # transformers then saves them once, and ties them again
        model._tied_weights_keys = {**(model._tied_weights_keys or {}), **tied}
        model.all_tied_weights_keys.update(tied)


def _factored(
    name: str, module: nn.Module, first: nn.Parameter, second: nn.Parameter
) -> LowRankEmbedding | LowRankHead:
    if isinstance(module, nn.Linear):
        return LowRankHead(first, second, module.bias)
    if not isinstance(module, nn.Embedding) or getattr(module, "max_norm", None) is not None:
        raise CompressError(
            f"{name} is a {type(module).__name__}; only a torch.nn.Embedding can get a low rank"
        )
    scale = getattr(module, "scale", getattr(module, "embed_scale", 1.0))  # the latter: BART's
    return LowRankEmbedding(first, second, module.padding_idx, float(scale))
