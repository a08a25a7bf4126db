"""Cut one block of a model: the rows and columns of all its coupled tensors.

``compress.surgery`` says which tensors these are, with an example.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from compress.architecture import AttentionLayout, FeedForwardLayout
from compress.errors import CompressError

Projection = nn.Linear | Conv1D


@dataclass(frozen=True)
class _Kind:
    """Where a kind of projection has its outputs and inputs: the axes of the weight, and the names
    of the attributes that count them."""

    rows: int
    columns: int
    row_count: str
    column_count: str


_LINEAR = _Kind(0, 1, "out_features", "in_features")
_TRANSPOSED = _Kind(1, 0, "nf", "nx")
"""GPT-2's: the weight is [inputs, outputs]."""


def projection_at(block: nn.Module, path: str) -> Projection:
    """The linear layer at ``path`` in ``block``, whose weight may be transposed. Raises
    CompressError for any other module."""
    module = block.get_submodule(path)
    if not isinstance(module, nn.Linear | Conv1D):
        raise CompressError(
            f"{path} is a {type(module).__name__}; only torch.nn.Linear and transformers' Conv1D "
            "can be cut"
        )
    return module


def axes_of_projection(projection: nn.Module) -> tuple[int, int]:
    """The axes of the weight that are outputs (rows) and inputs (columns)."""
    kind = _LINEAR if isinstance(projection, nn.Linear) else _TRANSPOSED
    return kind.rows, kind.columns


def rows_of(projection: Projection) -> int:
    """The number of outputs."""
    return int(projection.weight.shape[_kind(projection).rows])


def columns_of(projection: Projection) -> int:
    """The number of inputs."""
    return int(projection.weight.shape[_kind(projection).columns])


def cut_feed_forward(
    block: nn.Module, path: str, layout: FeedForwardLayout, indices: Sequence[int]
) -> None:
    """Keep the neurons ``indices`` of a block; ``path`` names it in errors."""
    width = columns_of(projection_at(block, layout.output))
    kept = checked_indices(indices, width, f"feed-forward neurons of {path}")
    inputs = _inputs_of(block, path, layout)
    _check_rows(block, path, dict.fromkeys(inputs, width))
    for name in inputs:
        _cut_rows(projection_at(block, name), kept)
    _cut_columns(projection_at(block, layout.output), kept)


def _inputs_of(block: nn.Module, path: str, layout: FeedForwardLayout) -> list[str]:
    """The inputs of the feed-forward part that this block has."""
    modules = {name for name, _ in block.named_modules()}
    inputs = [name for name in layout.inputs if name in modules]
    if not inputs:
        raise CompressError(f"{path} has no {' or '.join(layout.inputs)}")
    return inputs


def cut_heads(
    block: nn.Module, path: str, layout: AttentionLayout, heads: Sequence[int], head_size: int
) -> None:
    """Keep the query heads ``heads`` of a block; ``path`` names it in errors."""
    queries, shared = head_counts_of(block, layout, head_size)
    kept = checked_indices(heads, queries, f"heads of {path}")
    shared_kept, each = _groups_kept(kept, queries // shared, path)
    rows = _places(kept, head_size)
    ends = [(layout.query, kept, queries)]
    ends += [(layout.key, shared_kept, shared), (layout.value, shared_kept, shared)]
    for name, places in _rows_by_path(ends, head_size).items():
        _cut_rows(projection_at(block, name), places)
    _cut_columns(projection_at(block, layout.output), rows)
    _cut_bias(block, layout, kept)
    # In families that have these attributes the forward pass reshapes [batch, length,
    # width] to heads by them; with the old counts it would fail.
    values = {"heads": len(kept), "width": len(rows), "group": each}
    for module, attribute, unit in layout.counts:
        setattr(block.get_submodule(module), attribute, values[unit])


def _groups_kept(heads: Sequence[int], group: int, path: str) -> tuple[list[int], int]:
    """The groups of ``group`` query heads, which share a key and value head, of which ``heads``
    holds some, and how many it holds of each. Raises CompressError unless these are equal."""
    counts = Counter(head // group for head in heads)
    each, *others = set(counts.values())
    if others:
        raise CompressError(
            f"{path}: {group} query heads share a key and value head; keep whole groups, or as "
            "many heads of each"
        )
    return sorted(counts), each


def head_counts_of(block: nn.Module, layout: AttentionLayout, head_size: int) -> tuple[int, int]:
    """(query heads, key and value heads) of a block, by the shapes of its tensors."""
    queries = columns_of(projection_at(block, layout.output))
    shared = rows_of(projection_at(block, layout.key))
    if layout.key == layout.query:
        shared = (shared - queries) // 2
    if queries % head_size or shared % head_size or not shared or queries % shared:
        raise CompressError(
            f"{layout.query} and {layout.key} have {[queries, shared]} rows, which are not heads "
            f"of {head_size}"
        )
    return queries // head_size, shared // head_size


def _rows_by_path(
    ends: Sequence[tuple[str, Sequence[int], int]], head_size: int
) -> dict[str, list[int]]:
    """The rows to keep of each layer, by its path. ``ends`` are (path, heads that stay, all heads)
    of queries, keys and values, which follow one another where they have one path."""
    rows: dict[str, list[int]] = {}
    start = dict.fromkeys((path for path, _, _ in ends), 0)
    for path, kept, heads in ends:
        places = [start[path] + place for place in _places(kept, head_size)]
        rows.setdefault(path, []).extend(places)
        start[path] += heads * head_size
    return rows


def _places(heads: Sequence[int], head_size: int) -> list[int]:
    """The rows of ``heads``: head h owns ``head_size`` adjacent ones from h * ``head_size``
    on."""
    rows: list[int] = []
    for head in heads:
        rows.extend(range(head * head_size, (head + 1) * head_size))
    return rows


def _cut_bias(block: nn.Module, layout: AttentionLayout, heads: Sequence[int]) -> None:
    """Cut the columns of the bias that the first block of a stack has."""
    if layout.bias is None:
        return
    attention = block.get_submodule(layout.bias.module)
    embedding = getattr(attention, layout.bias.embedding, None)
    if embedding is not None:
        embedding.weight = selected(embedding.weight, 1, heads)
        embedding.embedding_dim = len(heads)


def _kind(projection: Projection) -> _Kind:
    return _LINEAR if isinstance(projection, nn.Linear) else _TRANSPOSED


def _cut_rows(projection: Projection, kept: Sequence[int]) -> None:
    kind = _kind(projection)
    projection.weight = selected(projection.weight, kind.rows, kept)
    if projection.bias is not None:
        projection.bias = selected(projection.bias, 0, kept)
    setattr(projection, kind.row_count, len(kept))


def _cut_columns(projection: Projection, kept: Sequence[int]) -> None:
    kind = _kind(projection)
    projection.weight = selected(projection.weight, kind.columns, kept)
    setattr(projection, kind.column_count, len(kept))


def count_again(module: nn.Module) -> None:
    """Set the attributes of a module that count the axes of its weight to what they are."""
    if isinstance(module, nn.Linear | Conv1D):
        kind = _kind(module)
        setattr(module, kind.row_count, rows_of(module))
        setattr(module, kind.column_count, columns_of(module))
    elif isinstance(module, nn.Embedding):
        module.embedding_dim = module.weight.shape[1]
    elif isinstance(module, nn.LayerNorm):
        module.normalized_shape = tuple(module.weight.shape)


def selected(parameter: torch.Tensor, dim: int, kept: Sequence[int]) -> nn.Parameter:
    """A parameter with the places ``kept`` of the axis ``dim`` alone."""
    # index_select copies, so that the memory of what is cut is freed with the old
    # parameter.
    index = torch.tensor(list(kept), dtype=torch.long, device=parameter.device)
    chosen = parameter.detach().index_select(dim, index)
    return nn.Parameter(chosen, requires_grad=parameter.requires_grad)


def checked_indices(indices: Sequence[int], size: int, what: str) -> list[int]:
    """``indices`` as a list. Raises CompressError unless they are ascending, distinct, from
    0 to ``size`` - 1, and at least one."""
    kept = list(indices)
    if not kept or kept != sorted(set(kept)) or kept[0] < 0 or kept[-1] >= size:
        raise CompressError(
            f"cannot keep {len(kept)} of {size} {what}: indices must be ascending, "
            f"at least one, from 0 to {size - 1}"
        )
    return kept


def _check_rows(block: nn.Module, path: str, wanted: dict[str, int]) -> None:
    """Raise CompressError unless the layers have these numbers of rows."""
    for name, width in wanted.items():
        got = rows_of(projection_at(block, name))
        if got != width:
            raise CompressError(
                f"{path}: {name} has {got} rows, and what reads them {width} columns"
            )
