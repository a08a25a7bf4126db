"""Cut the student from a model: fewer layers, then a narrower state, then embeddings of low
rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from transformers import PreTrainedModel

from compress import surgery
from compress.architecture import Architecture, Layout
from compress.edits import Edit
from compress.errors import NothingChanged, UsageError
from compress.hidden import hidden_width
from compress.layers import in_words
from compress.lowrank import embedding_sizes, factor_embeddings
from compress.models import count_parameters
from compress.narrowing import best_places, narrow, state_moments
from compress.options import KeptLayers
from compress.shapes import settle
from compress.sizes import layout_of
from compress.stage import Context
from compress_distill.options import ChosenLayers, DistillOptions, StudentOptions
from compress_distill.probe import Probe

_ROUNDS = 3  # digits of what the notes state


def cut(
    model: PreTrainedModel,
    wanted: StudentOptions,
    context: Context[DistillOptions],
    probe: Probe,
) -> tuple[Sequence[Edit], Mapping[str, Any]]:
    """Cut the student in place. Returns the edits that give an empty model its shape, and what was
    chosen, for the manifest's notes.

    Raises UsageError for what does not fit the model, before anything is cut."""
    architecture, layout = layout_of(model.config.model_type, context.architectures)
    _refuse_sizes(model, wanted, architecture)
    whole = count_parameters(model)
    notes: dict[str, Any] = {}
    before = surgery.layers_of(model, layout.stacks)
    if wanted.layers is not None:
        notes["layers"] = _cut_layers(model, layout, wanted, context, probe)
    if wanted.hidden is not None:
        notes["hidden"] = _narrow(model, architecture, wanted, context, probe)
    if wanted.embeddings is not None:
        notes["embeddings_kept"] = round(factor_embeddings(model, wanted.embeddings), _ROUNDS)
    if count_parameters(model) == whole:
        raise NothingChanged(
            f"student.layers: {wanted.kept} cuts nothing from a model of {in_words(before)}: take "
            "fewer, or leave student out and name a teacher"
        )
    return settle(model, architecture), notes


def evenly_spaced(count: int, layers: int) -> list[int]:
    """``count`` of ``layers`` indices, evenly spaced from the first to the last; only the
    last for a count of 1. Three of 12: 0, 6, 11."""
    if count == 1:
        return [layers - 1]
    return [round(i * (layers - 1) / (count - 1)) for i in range(count)]


def _refuse_sizes(
    model: PreTrainedModel, wanted: StudentOptions, architecture: type[Architecture]
) -> None:
    if wanted.hidden is not None:
        whole = hidden_width(model, architecture)
        if wanted.width(whole) >= whole:
            raise UsageError(
                f"student.hidden: {wanted.hidden} is not less than the input's hidden width, "
                f"{whole}: take less, or leave it out"
            )
    if wanted.embeddings is not None:
        tokens, width = embedding_sizes(model)
        if wanted.embeddings >= min(tokens, width):
            raise UsageError(
                f"student.embeddings: {wanted.embeddings} is not less than the rank of the "
                f"input's embeddings, of {tokens} tokens and width {width}: take less, or leave "
                "it out"
            )


def _cut_layers(
    model: PreTrainedModel,
    layout: Layout,
    wanted: StudentOptions,
    context: Context[DistillOptions],
    probe: Probe,
) -> Any:
    """Cut layers in place. Returns the old numbers of those that stay; by stack where there are
    several. All are chosen in the whole model, before any is cut."""
    assert wanted.kept is not None and wanted.layers is not None
    surgery.kept_by_stack(model, layout.stacks, wanted.kept, "student.layers")
    asked = _by_stack(wanted.layers, layout)
    batches = probe.batches(wanted.probe) if any(map(_is_measured, asked.values())) else []
    chosen = {}
    for stack in layout.stacks:
        some, blocks = asked.get(stack.name), surgery.blocks_of(model, stack)
        if isinstance(some, ChosenLayers) and _is_measured(some):
            scores = context.first(partial(probe.influences, blocks, batches))
            chosen[stack.name] = _highest(scores, some.count)
        elif some is not None:
            chosen[stack.name] = _stated(some, len(blocks))
    for stack in layout.stacks:
        if stack.name in chosen:
            surgery.keep_layers(model, stack, chosen[stack.name])
    return chosen if len(layout.stacks) > 1 else next(iter(chosen.values()))


def _by_stack(layers: Any, layout: Layout) -> Mapping[str, KeptLayers | ChosenLayers]:
    """What is asked of each stack."""
    return layers if isinstance(layers, Mapping) else {layout.stacks[0].name: layers}


def _is_measured(some: KeptLayers | ChosenLayers) -> bool:
    return isinstance(some, ChosenLayers) and some.by == "influence"


def _stated(some: KeptLayers | ChosenLayers, layers: int) -> list[int]:
    count = some.count if isinstance(some, ChosenLayers) else some
    return evenly_spaced(count, layers) if isinstance(count, int) else list(count)


def _highest(scores: Sequence[float], count: int) -> list[int]:
    """The places of the highest scores, ascending; of equal ones the first."""
    return sorted(sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:count])


def _narrow(
    model: PreTrainedModel,
    architecture: type[Architecture],
    wanted: StudentOptions,
    context: Context[DistillOptions],
    probe: Probe,
) -> int:
    """Narrow the hidden state in place. Returns its new width."""
    assert wanted.hidden is not None
    width = wanted.width(hidden_width(model, architecture))
    batches = probe.batches(wanted.probe)
    readers = state_moments(model, architecture, batches, probe.run)
    kept = context.first(lambda: best_places(readers, width))
    narrow(model, architecture, kept, readers, batches, probe.run)
    return width
