"""Set weights of a model's layers to zero, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from compress import surgery
from compress.artifact import Artifact
from compress.cutting import Projection, projection_at
from compress.errors import NothingChanged, UsageError
from compress.models import forward, open_model
from compress.sizes import layout_of
from compress.stage import Context, Made
from compress_prune import sparse
from compress_prune.finishing import finish
from compress_prune.unstructured import UnstructuredOptions

Batch = dict[str, Tensor]
Measured = dict[str, Tensor]
"""The sum of x x^T, float32 [inputs, inputs], over the inputs x of each matrix, by its path."""


class _Enough(Exception):
    """Ends a forward pass of which the rest is not needed."""


def zero(context: Context[UnstructuredOptions]) -> Made:
    """Write the model with zeros into ``context.output``.

    Raises UsageError if the family's layers are not known, or if a pattern does not fit a matrix;
    NothingChanged if no weight becomes zero."""
    options, source = context.options, context.input
    assert source is not None, "a plan gives this stage an input"
    model = open_model(source, context.task, "cuda" if torch.cuda.is_available() else "cpu")
    _, layout = layout_of(model.config.model_type, context.architectures)
    blocks = [block for stack in layout.stacks for block in surgery.blocks_of(model, stack)]
    _refuse_misfits(blocks, options)
    before = _zeros(blocks)
    made = context.first(partial(_zeroed, context, source, model, blocks))
    for block, weights in zip(blocks, made, strict=True):
        for path, weight in weights.items():
            _set(projection_at(block, path), weight.to(model.device))
    total = sum(m.weight.numel() for block in blocks for m in _matrices(block).values())
    if _zeros(blocks) == before:
        raise NothingChanged(
            f"no weight of {total} becomes zero: give a larger share, or leave the step out"
        )
    notes: dict[str, Any] = {"weights": total, "zeros": _zeros(blocks)}
    with _held(blocks):
        return finish(model, context, options.recover, source.manifest.edits, notes)


def _matrices(block: nn.Module) -> dict[str, Projection]:
    """The linear parts of a block, by their paths."""
    found = {}
    for path, module in block.named_modules():
        if isinstance(module, Projection):
            found[path] = module
    return found


def _matrix(projection: Projection) -> Tensor:
    """The weight [outputs, inputs]."""
    weight = projection.weight.detach()
    return weight if isinstance(projection, nn.Linear) else weight.T


def _set(projection: Projection, matrix: Tensor) -> None:
    projection.weight.data.copy_(matrix if isinstance(projection, nn.Linear) else matrix.T)


def _zeros(blocks: Sequence[nn.Module]) -> int:
    return sum(int((m.weight == 0).sum()) for block in blocks for m in _matrices(block).values())


def _refuse_misfits(blocks: Sequence[nn.Module], options: UnstructuredOptions) -> None:
    """Raise UsageError for a matrix that groups of the pattern do not divide."""
    if options.kept_of is None:
        return
    for block in blocks:
        for path, projection in _matrices(block).items():
            inputs = _matrix(projection).shape[1]
            if inputs % options.kept_of[1]:
                raise UsageError(
                    f"pattern: {options.pattern} does not fit {path}, which has {inputs} inputs: "
                    f"they are no multiple of {options.kept_of[1]}"
                )


def _zeroed(
    context: Context[UnstructuredOptions],
    source: Artifact,
    model: PreTrainedModel,
    blocks: Sequence[nn.Module],
) -> list[dict[str, Tensor]]:
    """The new weights [outputs, inputs] of each block, by path. ``model`` has them too.

    Each block is measured in the model whose earlier blocks have their zeros, for these change what
    it reads. What is measured of one block alone is in memory."""
    options = context.options
    measures = options.criterion != "magnitude"
    batches = _batches(context, source, model.device) if measures else []
    least = _least_of_model(blocks, options) if options.across == "model" else None
    made = []
    for number, block in enumerate(blocks, 1):
        grams = _measured(model, block, batches) if measures else {}
        weights = {}
        for path, projection in _matrices(block).items():
            matrix = _matrix(projection)
            chosen = None if least is None else least[number - 1][path]
            weights[path] = _without(matrix, grams.get(path), chosen, options)
            _set(projection, weights[path])
        made.append(weights)
        context.progress(number, len(blocks), "setting weights to zero")
    return made


def _without(
    matrix: Tensor, gram: Tensor | None, chosen: Tensor | None, options: UnstructuredOptions
) -> Tensor:
    """The matrix with zeros. ``chosen`` is the mask if the whole model was asked."""
    share, groups = options.share or 0.0, options.kept_of
    if options.criterion == "sparsegpt":
        assert gram is not None
        return sparse.sparsegpt(matrix, gram, share, groups)
    scores = matrix.abs() if gram is None else sparse.wanda_scores(matrix, gram)
    if chosen is not None:
        mask = chosen
    elif groups is not None:
        mask = sparse.lowest_of_groups(scores, *groups)
    elif gram is None:
        mask = sparse.lowest(scores, round(share * scores.numel()))
    else:
        mask = sparse.lowest_of_rows(scores, share)
    return matrix.masked_fill(mask, 0.0)


def _least_of_model(
    blocks: Sequence[nn.Module], options: UnstructuredOptions
) -> list[dict[str, Tensor]]:
    """The masks of the smallest weights of all blocks together, by block and path."""
    matrices = [{p: _matrix(m) for p, m in _matrices(block).items()} for block in blocks]
    sizes = torch.cat([m.abs().flatten() for block in matrices for m in block.values()])
    mask = sparse.lowest(sizes, round((options.share or 0.0) * len(sizes)))
    parts = iter(mask.split([m.numel() for block in matrices for m in block.values()]))
    return [{p: next(parts).view(m.shape) for p, m in block.items()} for block in matrices]


@torch.no_grad()
def _measured(model: PreTrainedModel, block: nn.Module, batches: Sequence[Batch]) -> Measured:
    """What the matrices of a block read. The model runs as far as that block. Raises UsageError
    for a matrix that read nothing."""
    grams: Measured = {}

    def add(path: str, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        rows = inputs[0].detach().flatten(0, -2).float()
        gram = rows.T @ rows
        grams[path] = grams[path] + gram if path in grams else gram

    def stop(*_: Any) -> None:
        raise _Enough

    hooks = [m.register_forward_pre_hook(partial(add, p)) for p, m in _matrices(block).items()]
    hooks.append(block.register_forward_hook(stop))
    try:
        for batch in batches:
            try:
                forward(model, batch)
            except _Enough:
                continue
    finally:
        for hook in hooks:
            hook.remove()
    unread = [path for path in _matrices(block) if path not in grams]
    if unread:
        raise UsageError(
            f"{unread[0]} was given no input by {len(batches)} calibration examples, so its "
            "weights cannot be compared by their inputs: set criterion: magnitude"
        )
    return grams


def _batches(
    context: Context[UnstructuredOptions], source: Artifact, device: torch.device
) -> list[Batch]:
    """Random training examples, one in each batch: padding would count as input."""
    assert context.data is not None, "the stage needs data"
    generator = np.random.default_rng(context.seed)
    rows = context.data.rows("train")
    drawn = np.sort(generator.permutation(len(rows))[: context.options.calibration_examples])
    processor = context.task.processor(source.folder)
    batches = []
    for features in context.task.features([rows[int(i)] for i in drawn], processor):
        arrays = context.task.collate([features], processor, generator)
        batches.append({name: torch.from_numpy(each).to(device) for name, each in arrays.items()})
    return batches


@contextmanager
def _held(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """Keep zeros at zero while a model is trained: they get no gradient, so that AdamW does not
    move them, and decay leaves them where they are."""
    hooks = []
    for block in blocks:
        for projection in _matrices(block).values():
            hooks.append(projection.weight.register_hook(_only(projection.weight != 0)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _only(mask: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda gradient: gradient * mask
