"""Structured pruning of an artifact: measure, choose, cut, train again, save."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from compress import surgery
from compress.architecture import Architecture, Layout
from compress.artifact import Artifact
from compress.cutting import linear_at
from compress.errors import NothingChanged, UsageError
from compress.models import count_parameters, open_model, save_model, task_loss
from compress.options import layers_misfit
from compress.predict import split_by
from compress.sizes import layout_of
from compress.stage import Context, Made
from compress.training import fit
from compress_prune import StructuredOptions
from compress_prune.choose import heads_of, kept_units, kept_width, most_important
from compress_prune.importance import LAYER_CRITERIA, UNIT_CRITERIA, Batch, Gated, labels_of

_BATCH_SIZE = 16


def prune(context: Context[StructuredOptions]) -> Made:
    """Write the pruned model into ``context.output``. Layers are cut first. Then heads and
    neurons are cut, by their importance in the layers that are left.

    Raises UsageError if the model's family cannot be cut, or if the model does not have the
    layers to keep; NothingChanged if nothing is removed."""
    options, source = context.options, context.input
    assert source is not None, "a plan gives this stage an input"
    model = open_model(source, context.task, "cuda" if torch.cuda.is_available() else "cpu")
    architecture, layout = layout_of(model.config.model_type, context.architectures)
    batches = _batches(context, source, model.device) if _needs_importance(options) else []
    whole = count_parameters(model)
    layers = _cut_layers(model, layout, batches, context)
    if options.cuts_units:
        _cut_units(model, architecture, layout, batches, context)
    if count_parameters(model) == whole:
        raise _nothing_removed(options, len(layers))
    edits = surgery.settle(model, architecture)
    notes = _notes(model, architecture, layout, layers)
    if options.recover is not None:
        notes["recover"] = fit(model, context, options.recover)
    if context.rank > 0:
        return Made()
    parameters = save_model(model, context.output)
    context.task.processor(source.folder).save(context.output)
    return Made(parameters=parameters, edits=edits, notes=notes)


def _needs_importance(options: StructuredOptions) -> bool:
    return isinstance(options.layers, int) or options.cuts_units


def _nothing_removed(options: StructuredOptions, layers: int) -> NothingChanged:
    values = {name: getattr(options, name) for name in ("layers", "feed_forward", "heads")}
    given = ", ".join(f"{name}: {value}" for name, value in values.items() if value is not None)
    return NothingChanged(
        f"{given} removes nothing from a model of {layers} layers: ask for more, or leave the step "
        "out"
    )


def _batches(
    context: Context[StructuredOptions], source: Artifact, device: torch.device
) -> list[Batch]:
    """Batches of random training rows, each with at least one label. The rows of a batch
    have about the same length.

    One generator draws the rows, then what the task draws (masks), batch by batch. Another
    order would give other masks, and so other importances."""
    assert context.data is not None, "the stage needs data"
    generator = np.random.default_rng(context.seed)
    rows = context.data.rows("train")
    drawn = np.sort(generator.permutation(len(rows))[: context.options.importance_examples])
    processor = context.task.processor(source.folder)
    features = sorted(
        context.task.features([rows[i] for i in drawn], processor), key=context.task.length
    )
    batches = []
    for start in range(0, len(features), _BATCH_SIZE):
        some = features[start : start + _BATCH_SIZE]
        for part in split_by([context.task.group(f) for f in some], some):
            arrays = context.task.collate(part, processor, generator)
            batch = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
            if labels_of(batch):
                batches.append(batch)
    if not batches:
        raise UsageError("importance is measured on the train split, which has no labels")
    return batches


def _cut_layers(
    model: PreTrainedModel,
    layout: Layout,
    batches: list[Batch],
    context: Context[StructuredOptions],
) -> list[int]:
    """Indices of the layers that stay, after cutting the others."""
    blocks, wanted = surgery.blocks_of(model, layout), context.options.layers
    if wanted is None:
        return list(range(len(blocks)))
    misfit = layers_misfit(wanted, len(blocks))
    if misfit:
        raise UsageError(f"layers: {misfit}")
    if isinstance(wanted, int):
        scores = context.first(lambda: _layer_scores(model, blocks, batches, context))
        wanted = most_important(scores, wanted)
    surgery.keep_layers(model, layout, wanted)
    return list(wanted)


def _layer_scores(
    model: PreTrainedModel,
    blocks: Sequence[torch.nn.Module],
    batches: list[Batch],
    context: Context[StructuredOptions],
) -> list[float]:
    """The importance of each layer."""
    scores = []
    measure = LAYER_CRITERIA[context.options.layer_criterion]
    for score in measure(model, blocks, batches, partial(task_loss, context.task)):
        scores.append(score)
        context.progress(len(scores), len(blocks), "measuring what each layer is worth")
    return scores


def _cut_units(
    model: PreTrainedModel,
    architecture: type[Architecture],
    layout: Layout,
    batches: list[Batch],
    context: Context[StructuredOptions],
) -> None:
    """Cut neurons and heads in every block. Both are measured before either is cut, in the
    same passes over the data."""
    options, head_size = context.options, surgery.head_size_of(model, architecture)
    # Query heads that share a key and value head go together: the group is the unit.
    group_sizes = []
    for queries, shared in surgery.head_counts(model, layout, head_size):
        group_sizes.append(queries // shared)
    neurons = _neurons(model, layout) if options.feed_forward is not None else []
    heads = _heads(model, layout, head_size, group_sizes) if options.heads is not None else []
    measure = UNIT_CRITERIA[options.unit_criterion]
    gated, loss_of = [*neurons, *heads], partial(task_loss, context.task)
    scores = context.first(
        lambda: [s.numpy() for s in measure(model, gated, _reported(batches, context), loss_of)]
    )
    if options.feed_forward is not None:
        for i, score in enumerate(scores[: len(neurons)]):
            kept = most_important(score, kept_width(len(score), options.feed_forward))
            surgery.keep_feed_forward(model, layout, i, kept)
    if options.heads is not None:
        for i, score in enumerate(scores[len(neurons) :]):
            kept = most_important(score, kept_units(len(score), options.heads))
            surgery.keep_heads(model, layout, i, heads_of(kept, group_sizes[i]), head_size)


def _neurons(model: PreTrainedModel, layout: Layout) -> list[Gated]:
    """The feed-forward output of each block, whose every column is a neuron."""
    blocks = surgery.blocks_of(model, layout)
    return [Gated(linear_at(block, layout.feed_forward.output), 1) for block in blocks]


def _heads(
    model: PreTrainedModel, layout: Layout, head_size: int, group_sizes: Sequence[int]
) -> list[Gated]:
    """The attention output of each block, whose units are groups of heads."""
    gated = []
    for block, group in zip(surgery.blocks_of(model, layout), group_sizes, strict=True):
        gated.append(Gated(linear_at(block, layout.attention.output), head_size * group))
    return gated


def _reported(batches: list[Batch], context: Context[StructuredOptions]) -> Iterator[Batch]:
    """The batches, with progress reported after each."""
    for done, batch in enumerate(batches, 1):
        yield batch
        context.progress(done, len(batches), "measuring what heads and neurons are worth")


def _notes(
    model: PreTrainedModel, architecture: type[Architecture], layout: Layout, layers: list[int]
) -> dict[str, Any]:
    """What is left: the old numbers of the layers, and the feed-forward width and the heads
    of each."""
    counts = surgery.head_counts(model, layout, surgery.head_size_of(model, architecture))
    return {
        "layers": layers,
        "feed_forward": surgery.feed_forward_widths(model, layout),
        "heads": [queries for queries, _ in counts],
    }
