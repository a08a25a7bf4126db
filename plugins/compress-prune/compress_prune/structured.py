"""Structured pruning of an artifact: measure, choose, cut, train again, save."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from compress import surgery
from compress.architecture import Architecture, Layout
from compress.artifact import Artifact
from compress.errors import NothingChanged, UsageError
from compress.models import count_parameters, open_model, task_loss
from compress.predict import split_by
from compress.shapes import settle
from compress.sizes import layout_of
from compress.stage import Context, Made
from compress_prune.amounts import Amount, amount_of
from compress_prune.choose import most_important
from compress_prune.costs import Scores, Units
from compress_prune.finishing import finish
from compress_prune.goal import Goal
from compress_prune.importance import LAYER_CRITERIA, UNIT_CRITERIA, Batch, labels_of
from compress_prune.options import StructuredOptions
from compress_prune.reaching import goal_of
from compress_prune.tuning import tune_all
from compress_prune.units import Family, shared_out, units_of

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
    amount = amount_of(options.target, source, model) if options.target else None
    layers = _cut_layers(model, layout, batches, context)
    of_units: dict[str, Any] = {}
    if options.cuts_units:
        family = Family(architecture, layout)
        goal = _goal(context, model, family, amount, layers) if options.target else None
        of_units = _cut_units(model, family, batches, context, goal)
    if count_parameters(model) == whole:
        raise _nothing_removed(options, sum(map(len, layers.values())))
    edits = settle(model, architecture)
    notes = {**_notes(model, architecture, layout, layers), **of_units}
    return finish(model, context, options.recover, edits, notes)


def _needs_importance(options: StructuredOptions) -> bool:
    kept = options.layers
    counts = kept.values() if isinstance(kept, Mapping) else [kept]
    return options.cuts_units or any(isinstance(each, int) for each in counts)


def _nothing_removed(options: StructuredOptions, layers: int) -> NothingChanged:
    values = {name: getattr(options, name) for name in ("layers", "feed_forward", "heads")}
    said = [f"{name}: {value}" for name, value in values.items() if value is not None]
    given = ", ".join([*said, *([options.target.asked] if options.target else [])])
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
) -> dict[str, list[int]]:
    """Indices of the layers that stay, by stack, after cutting the others. All are chosen in the
    whole model, before any is cut."""
    wanted = context.options.layers
    asked = surgery.kept_by_stack(model, layout.stacks, wanted, "layers") if wanted else {}
    chosen = {}
    for stack in layout.stacks:
        blocks = surgery.blocks_of(model, stack)
        kept = asked.get(stack.name, list(range(len(blocks))))
        if isinstance(kept, int):
            scores = context.first(partial(_layer_scores, model, blocks, batches, context))
            kept = most_important(scores, kept)
        chosen[stack.name] = list(kept)
    for stack in layout.stacks:
        if stack.name in asked:
            surgery.keep_layers(model, stack, chosen[stack.name])
    return chosen


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


def _goal(
    context: Context[StructuredOptions],
    model: PreTrainedModel,
    family: Family,
    amount: Amount | None,
    layers: Mapping[str, list[int]],
) -> Goal | None:
    """The goal of the step's target; None on all ranks but 0, which alone measures."""
    found: list[Goal] = []

    def find() -> None:
        units_in = partial(units_of, family=family, options=context.options)
        found.append(goal_of(context, model, family.architecture, units_in, amount, layers))

    context.first(find)
    return found[0] if found else None


def _cut_units(
    model: PreTrainedModel,
    family: Family,
    batches: list[Batch],
    context: Context[StructuredOptions],
    goal: Goal | None,
) -> dict[str, Any]:
    """Cut neurons and heads in every block, and tune what is left. Both are measured before either
    is cut, in the same passes over the data. Returns notes."""
    options = context.options
    units = units_of(model, family, options)
    gated = [each for unit in units for each in unit.gated]
    measure = UNIT_CRITERIA[options.criterion]
    loss_of = partial(task_loss, context.task)
    scores = context.first(
        lambda: [s.numpy() for s in measure(model, gated, _reported(batches, context), loss_of)]
    )
    in_order = iter(scores)
    by_unit = [[next(in_order) for _ in unit.gated] for unit in units]
    notes: dict[str, Any] = {}
    if options.target is not None:
        kept, reached = context.first(lambda: _reached(goal, units, by_unit))
        notes["target"] = {"asked": options.target.asked, **reached}
    else:
        kept = shared_out(units, by_unit) if options.shape == "free" else [u.kept for u in units]
    whole = copy.deepcopy(model) if options.tune else None
    for unit, own, stay in zip(units, by_unit, kept, strict=True):
        unit.cut(own, stay)
    missed = tune_all(model, whole, family.layout, batches, context) if whole else {}
    return {**notes, **({"missed": missed} if missed else {})}


def _reached(
    goal: Goal | None, units: Units, scores: Scores
) -> tuple[list[list[int]], dict[str, Any]]:
    assert goal is not None, "rank 0 has the goal"
    return goal.kept(units, scores)


def _reported(batches: list[Batch], context: Context[StructuredOptions]) -> Iterator[Batch]:
    """The batches, with progress reported after each."""
    for done, batch in enumerate(batches, 1):
        yield batch
        context.progress(done, len(batches), "measuring what heads and neurons are worth")


def _notes(
    model: PreTrainedModel,
    architecture: type[Architecture],
    layout: Layout,
    layers: dict[str, list[int]],
) -> dict[str, Any]:
    """What is left: the old numbers of the layers, and the feed-forward width and the heads of
    each; by stack where there are several."""
    size = surgery.head_size_of(model, architecture)
    notes = {}
    for stack in layout.stacks:
        notes[stack.name] = {
            "layers": layers[stack.name],
            "feed_forward": surgery.feed_forward_widths(model, stack),
            "heads": [q for q, _ in surgery.head_counts(model, stack, stack.attention, size)],
        }
    return notes[layout.stacks[0].name] if len(notes) == 1 else notes
