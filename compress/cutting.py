"""Cut one block of a model: the rows and columns of all its coupled tensors.

``compress.surgery`` says which tensors these are, with an example.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from compress.architecture import AttentionLayout, FeedForwardLayout
from compress.errors import CompressError


def linear_at(block: nn.Module, path: str) -> nn.Linear:
    """The linear layer at ``path`` in ``block``. Raises CompressError for any other
    module."""
    module = block.get_submodule(path)
    if not isinstance(module, nn.Linear):
        raise CompressError(f"{path} is a {type(module).__name__}; only torch.nn.Linear can be cut")
    return module


def cut_feed_forward(
    block: nn.Module, path: str, layout: FeedForwardLayout, indices: Sequence[int]
) -> None:
    """Keep the neurons ``indices`` of a block; ``path`` names it in errors."""
    width = linear_at(block, layout.output).in_features
    kept = checked_indices(indices, width, f"feed-forward neurons of {path}")
    for name in layout.inputs:
        _cut_rows(linear_at(block, name), kept)
    _cut_columns(linear_at(block, layout.output), kept)
    _check_widths(block, path, layout.inputs, layout.output, len(kept))


def cut_heads(
    block: nn.Module, path: str, layout: AttentionLayout, heads: Sequence[int], head_size: int
) -> None:
    """Keep the query heads ``heads`` of a block; ``path`` names it in errors."""
    queries, shared = head_counts_of(block, layout, head_size)
    kept = checked_indices(heads, queries, f"heads of {path}")
    group = queries // shared  # query heads that share a key and value head; 1 without sharing
    shared_kept = sorted({head // group for head in kept})
    # The groups that ``kept`` touches are whole if they hold as many heads as ``kept``.
    if len(kept) != group * len(shared_kept):
        raise CompressError(
            f"{path}: {group} query heads share a key and value head; keep them in whole groups"
        )
    rows, shared_rows = _rows_of(kept, head_size), _rows_of(shared_kept, head_size)
    _cut_rows(linear_at(block, layout.query), rows)
    _cut_rows(linear_at(block, layout.key), shared_rows)
    _cut_rows(linear_at(block, layout.value), shared_rows)
    _cut_columns(linear_at(block, layout.output), rows)
    # In families that have these attributes the forward pass reshapes [batch, length,
    # width] to heads by them; with the old counts it would fail.
    values = {"heads": len(kept), "width": len(rows)}
    for module, attribute, unit in layout.counts:
        setattr(block.get_submodule(module), attribute, values[unit])
    _check_widths(block, path, (layout.query,), layout.output, len(rows))
    _check_widths(block, path, (layout.key, layout.value), None, len(shared_rows))


def head_counts_of(block: nn.Module, layout: AttentionLayout, head_size: int) -> tuple[int, int]:
    """(query heads, key and value heads) of a block, by the shapes of its tensors."""
    rows = [linear_at(block, name).out_features for name in (layout.query, layout.key)]
    if any(r % head_size for r in rows) or rows[0] % rows[1]:
        raise CompressError(
            f"{layout.query} and {layout.key} have {rows} rows, which are not heads of {head_size}"
        )
    return rows[0] // head_size, rows[1] // head_size


def _rows_of(heads: Sequence[int], head_size: int) -> list[int]:
    """The rows of ``heads``: head h owns ``head_size`` adjacent ones from h * ``head_size``
    on."""
    rows: list[int] = []
    for head in heads:
        rows.extend(range(head * head_size, (head + 1) * head_size))
    return rows


def _cut_rows(linear: nn.Linear, kept: Sequence[int]) -> None:
    linear.weight = _select(linear.weight, 0, kept)
    if linear.bias is not None:
        linear.bias = _select(linear.bias, 0, kept)
    linear.out_features = len(kept)


def _cut_columns(linear: nn.Linear, kept: Sequence[int]) -> None:
    linear.weight = _select(linear.weight, 1, kept)
    linear.in_features = len(kept)


def _select(parameter: torch.Tensor, dim: int, kept: Sequence[int]) -> nn.Parameter:
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


def _check_widths(
    block: nn.Module, path: str, inputs: Sequence[str], output: str | None, width: int
) -> None:
    """Raise CompressError unless ``inputs`` have ``width`` rows and ``output`` as many
    columns."""
    widths = {name: linear_at(block, name).weight.shape[0] for name in inputs}
    if output:
        widths[output] = linear_at(block, output).weight.shape[1]
    wrong = [f"{name} is {got} wide" for name, got in widths.items() if got != width]
    if wrong:
        raise CompressError(f"{path}: after the cut to {width}, " + ", ".join(wrong))
