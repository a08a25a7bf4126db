"""Drop whole layers of a model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from compress import surgery
from compress.errors import NothingChanged
from compress.layers import all_stay, in_words
from compress.models import open_model
from compress.probe import Probe
from compress.shapes import settle
from compress.sizes import layout_of
from compress.stage import Context, Made
from compress_prune.choose import most_important
from compress_prune.finishing import finish
from compress_prune.layers import LayersOptions, in_numbers

_DIGITS = 4


def drop(context: Context[LayersOptions]) -> Made:
    """Write the model with fewer layers into ``context.output``. All layers are measured in the
    whole model, before any is dropped.

    Raises UsageError if the model does not have the stacks or the layers; NothingChanged if all
    stay."""
    source, data, options = context.input, context.data, context.options
    assert source is not None and data is not None, "a plan gives the stage both"
    model = open_model(source, context.task)
    architecture, layout = layout_of(model.config.model_type, context.architectures)
    layers = surgery.layers_of(model, layout.stacks)
    wanted = in_numbers(options, layers)
    asked = surgery.kept_by_stack(model, layout.stacks, wanted, "keep")
    if all_stay(wanted, layers):
        raise NothingChanged(
            f"keep: {options.keep} removes nothing from a model of {in_words(layers)}: keep fewer, "
            "or leave the step out"
        )
    processor = context.task.processor(source.folder)
    probe = Probe(context, data, processor, model)
    batches = probe.batches(options.probe)
    notes: dict[str, Any] = {}
    for stack in layout.stacks:
        blocks = surgery.blocks_of(model, stack)
        scores = context.first(partial(probe.influences, blocks, batches))
        count = asked.get(stack.name, len(blocks))
        assert isinstance(count, int), "the options have numbers alone"
        kept = most_important(scores, count)
        notes[stack.name] = {"layers": kept, "influence": _rounded(scores)}
    for stack in layout.stacks:
        surgery.keep_layers(model, stack, notes[stack.name]["layers"])
    edits = settle(model, architecture)
    if len(layout.stacks) == 1:
        notes = notes[layout.stacks[0].name]
    return finish(model, context, options.recover, edits, notes)


def _rounded(scores: Sequence[float]) -> list[float]:
    return [round(score, _DIGITS) for score in scores]
