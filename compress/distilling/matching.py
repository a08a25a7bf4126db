"""Which layers of a student and of its teacher are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from compress.architecture import Architecture
from compress.artifact import Artifact
from compress.distilling.menu import (
    AttendingLoss,
    EmbeddingsLoss,
    HiddenLoss,
    LossItem,
    LossOptions,
)
from compress.edits import Edit, hidden_after
from compress.errors import UsageError
from compress.models import load_config
from compress.sizes import sizes

Place = tuple[int, int]
"""A student's and a teacher's place among their hidden states: 0 the embeddings, then one for each
layer; -1 the last."""
_EMBEDDINGS, _LAST = (0, 0), (-1, -1)
_STATES = ("hidden_states", "encoder_hidden_states", "decoder_hidden_states")
_NAME = "distillation"
"""The name under which a student holds its projections while it learns."""


@dataclass(frozen=True)
class Sides:
    """The sizes of a student and of its teacher. ``layers`` are their numbers of layers; None where
    a model has several stacks, or its config does not say. ``own`` and ``theirs`` are their hidden
    widths, as they are after a cut."""

    layers: Place | None
    own: int | None
    theirs: int | None

    @classmethod
    def of(
        cls,
        student: PreTrainedModel,
        edits: Sequence[Edit],
        teacher: Artifact,
        architectures: Sequence[type[Architecture]],
    ) -> Sides:
        """Those of a model in memory, which has these ``edits``, and of one in a folder."""
        configs = student.config, load_config(teacher.folder)
        own, theirs = (sizes(config, architectures) for config in configs)
        has_stacks = any(config.is_encoder_decoder for config in configs)
        layers = None
        if own.layers and theirs.layers and not has_stacks:
            layers = own.layers, theirs.layers
        widths = hidden_after(edits), hidden_after(teacher.manifest.edits)
        return cls(layers, widths[0] or own.hidden, widths[1] or theirs.hidden)


def matched(loss: LossOptions, layers: Place | None) -> list[Place]:
    """What a loss compares of hidden states. ``layers`` are the numbers of the student's and the
    teacher's layers; None where a model has several stacks.

    ``uniform`` compares the student's layer i of n with the teacher's i m / n of m, counted from 1:
    Jiao et al. 2020, TinyBERT, section 3.1 (arXiv:1909.10351). For ``learned`` there are all
    layers of both, among which ``learned.py`` chooses.

    Raises UsageError for layers that a model does not have."""
    if isinstance(loss, EmbeddingsLoss):
        return [_EMBEDDINGS]
    if not isinstance(loss, HiddenLoss):
        return []
    return _places(loss.layers, layers)


def blocks_compared(loss: AttendingLoss, layers: Place | None) -> list[Place]:
    """The numbers of the student's and the teacher's layers whose attention a loss compares, from
    0; -1 is the last. ``layers`` and errors are as in ``matched``."""
    places = _places(loss.layers, layers)
    return places if places == [_LAST] else [(own - 1, theirs - 1) for own, theirs in places]


def _places(chosen: str | Mapping[int, int], layers: Place | None) -> list[Place]:
    if chosen == "last":
        return [_LAST]
    if layers is None:
        raise UsageError(
            "losses: layers are counted in a model with one stack of them, and this one has "
            "several or none that is known: take layers: last"
        )
    own, theirs = layers
    if chosen == "uniform":
        return [(i, max(1, round(i * theirs / own))) for i in range(1, own + 1)]
    if isinstance(chosen, Mapping):
        return [_listed(one, other, layers) for one, other in sorted(chosen.items())]
    return [(min(i, own), min(i, theirs)) for i in range(1, max(layers) + 1)]


def _listed(own: int, theirs: int, layers: Place) -> Place:
    for number, count, whose in ((own, layers[0], "student"), (theirs, layers[1], "teacher")):
        if number >= count:
            raise UsageError(
                f"losses: layers: the {whose} has no layer {number}, its layers are numbered from "
                f"0 to {count - 1}"
            )
    return own + 1, theirs + 1


def all_matched(losses: Sequence[LossItem], layers: Place | None) -> list[Place]:
    """What several losses compare, each once, in order."""
    every = (place for loss in losses for place in matched(loss.chosen, layers))
    return list(dict.fromkeys(every))


@contextmanager
def projected(model: PreTrainedModel, places: Sequence[Place], sides: Sides) -> Iterator[None]:
    """Within the block the student's hidden states at ``places`` have its teacher's width: each is
    mapped by a learned matrix where the widths differ. Romero et al. 2015,
    FitNets, section 2.2 (arXiv:1412.6550).

    The matrices are parameters of the model in the block, so its optimizer trains them, and a
    checkpoint holds them. They are gone when it ends."""
    own, theirs = sides.own, sides.theirs
    if not places or own is None or theirs is None or own == theirs:
        yield
        return
    fields = _STATES[1:] if model.config.is_encoder_decoder else _STATES[:1]
    matrices = nn.ModuleDict()
    # A state has one matrix: the last one is -1 to one loss, and a number to another.
    count = sides.layers[0] + 1 if sides.layers else None
    for place in dict.fromkeys(one % count if count else one for one, _ in places):
        for field in fields:
            matrices[f"{field}:{place}"] = _matrix(own, theirs)
    model.add_module(_NAME, matrices)
    handle = model.register_forward_hook(_project)
    try:
        yield
    finally:
        handle.remove()
        delattr(model, _NAME)


def _matrix(own: int, theirs: int) -> nn.Linear:
    """A map that begins without a preferred direction and keeps lengths."""
    matrix = nn.Linear(own, theirs, bias=False)
    nn.init.orthogonal_(matrix.weight)
    return matrix


def _project(model: nn.Module, _: Any, outputs: Any) -> Any:
    """Replace the hidden states, if the outputs have them. In the forward pass, so that several
    processes share the gradients of the matrices too."""
    matrices = getattr(model, _NAME)
    for key, matrix in matrices.items():
        field, _, place = key.partition(":")
        states: tuple[Tensor, ...] | None = outputs.get(field)
        if states is not None:
            at = int(place) % len(states)
            outputs[field] = (*states[:at], matrix(states[at]), *states[at + 1 :])
    return outputs
