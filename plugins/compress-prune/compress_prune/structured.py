"""Structured pruning of an artifact: measure, choose, cut, train again, save."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from compress import surgery
from compress.architecture import Architecture, Layout
from compress.artifact import Artifact
from compress.errors import NothingChanged, UsageError
from compress.models import count_parameters, open_model, save_model
from compress.sizes import architecture_of
from compress.stage import Context, Made
from compress.training import fit
from compress_prune.choose import heads_of, kept_units, kept_width, most_important
from compress_prune.importance import Batch, Gated, labels_of, losses_without, unit_importance

_BATCH_SIZE = 16


def prune(context: Context[Any]) -> Made:
    """The pruned model in ``context.output``: layers first, then heads and neurons by their
    importance in what is left.

    Raises UsageError where the model's family cannot be cut, or does not have the layers that are
    to stay."""
    options, source = context.options, context.input
    assert source is not None, "a plan gives this stage an input"
    model = open_model(source, context.task, "cuda" if torch.cuda.is_available() else "cpu")
    architecture, layout = _described(model, context)
    batches = _batches(context, source, model.device) if _measures(options) else []
    whole = count_parameters(model)
    layers = _cut_layers(model, layout, batches, context)
    if options.feed_forward is not None or options.heads is not None:
        _cut_units(model, architecture, layout, batches, context)
    if count_parameters(model) == whole:
        asked = {name: getattr(options, name) for name in ("layers", "feed_forward", "heads")}
        told = ", ".join(f"{name}: {value}" for name, value in asked.items() if value is not None)
        raise NothingChanged(
            f"{told} removes nothing from a model of {len(layers)} layers: ask for more, or leave "
            "the "
            "step out"
        )
    edits = surgery.settle(model, architecture)
    notes = _notes(model, architecture, layout, layers)
    if options.recover is not None:
        notes["recover"] = fit(model, context, options.recover)
    parameters = save_model(model, context.output)
    context.task.processor(source.folder).save(context.output)
    return Made(parameters=parameters, edits=edits, notes=notes)


def _measures(options: Any) -> bool:
    return (
        isinstance(options.layers, int)
        or options.feed_forward is not None
        or options.heads is not None
    )


def _described(model: Any, context: Context[Any]) -> tuple[type[Architecture], Layout]:
    kind = model.config.model_type
    architecture = architecture_of(kind, context.architectures)
    if architecture is None or architecture.layout is None:
        known = sorted(t for a in context.architectures if a.layout for t in a.model_types)
        raise UsageError(
            f"a {kind} model cannot be pruned: no architecture says where its parts stand; "
            f"those that can: {', '.join(known)}"
        )
    return architecture, architecture.layout


def _batches(context: Context[Any], source: Artifact, device: torch.device) -> list[Batch]:
    """Batches of training rows drawn at random, of about equal length, each with a label at least.

    What a task draws (masks) depends on the seed alone."""
    generator = np.random.default_rng(context.seed)
    rows = context.data.rows("train")
    drawn = np.sort(generator.permutation(len(rows))[: context.options.importance_examples])
    processor = context.task.processor(source.folder)
    features = sorted(
        context.task.features([rows[i] for i in drawn], processor), key=context.task.length
    )
    parts = [features[i : i + _BATCH_SIZE] for i in range(0, len(features), _BATCH_SIZE)]
    collated = [context.task.collate(part, processor, generator) for part in parts]
    batches = [
        {name: torch.from_numpy(array).to(device) for name, array in batch.items()}
        for batch in collated
    ]
    labelled = [batch for batch in batches if labels_of(batch)]
    if not labelled:
        raise UsageError("importance is measured on the train split, which has no labels")
    return labelled


def _cut_layers(
    model: Any, layout: Layout, batches: list[Batch], context: Context[Any]
) -> list[int]:
    """Indices of the layers that stay."""
    blocks, wanted = surgery.blocks_of(model, layout), context.options.layers
    if wanted is None:
        return list(range(len(blocks)))
    if (wanted if isinstance(wanted, int) else wanted[-1] + 1) > len(blocks):
        raise UsageError(
            f"layers: {wanted} cannot be kept, for the model has {len(blocks)} (numbered from 0)"
        )
    if isinstance(wanted, int):
        losses = []
        for loss in losses_without(model, blocks, batches):
            losses.append(loss)
            context.progress(len(losses), len(blocks), "measuring what each layer is worth")
        wanted = most_important(losses, wanted)
    surgery.keep_layers(model, layout, wanted)
    return list(wanted)


def _cut_units(
    model: Any,
    architecture: type[Architecture],
    layout: Layout,
    batches: list[Batch],
    context: Context[Any],
) -> None:
    """Cut neurons and heads in every block; both are measured in the same passes over the data."""
    options, head_size = context.options, surgery.head_size_of(model, architecture)
    blocks = surgery.blocks_of(model, layout)
    # Query heads that share a key and value head go together: the group is the unit.
    shared_by = [
        queries // shared for queries, shared in surgery.head_counts(model, layout, head_size)
    ]
    neurons = (
        [Gated(surgery.linear_at(b, layout.feed_forward.output), 1) for b in blocks]
        if options.feed_forward
        else []
    )
    heads = (
        [
            Gated(surgery.linear_at(b, layout.attention.output), head_size * group)
            for b, group in zip(blocks, shared_by, strict=True)
        ]
        if options.heads
        else []
    )
    scores = [
        s.numpy() for s in unit_importance(model, [*neurons, *heads], _told(batches, context))
    ]
    for i, score in enumerate(scores[: len(neurons)]):
        kept = most_important(score, kept_width(len(score), options.feed_forward))
        surgery.keep_feed_forward(model, layout, i, kept)
    for i, score in enumerate(scores[len(neurons) :]):
        kept = most_important(score, kept_units(len(score), options.heads))
        surgery.keep_heads(model, layout, i, heads_of(kept, shared_by[i]), head_size)


def _told(batches: list[Batch], context: Context[Any]) -> Iterator[Batch]:
    for done, batch in enumerate(batches, 1):
        yield batch
        context.progress(done, len(batches), "measuring what heads and neurons are worth")


def _notes(
    model: Any, architecture: type[Architecture], layout: Layout, layers: list[int]
) -> dict[str, Any]:
    """What is left: layers by their old number, and each one's feed-forward width and heads."""
    heads = [
        queries
        for queries, _ in surgery.head_counts(
            model, layout, surgery.head_size_of(model, architecture)
        )
    ]
    return {
        "layers": layers,
        "feed_forward": surgery.feed_forward_widths(model, layout),
        "heads": heads,
    }
