"""Queries, keys and values of a student and of its teacher, as their attention layers compute them,
beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from compress import surgery
from compress.architecture import Architecture, AttentionLayout
from compress.cutting import projection_at, rows_of
from compress.errors import UsageError
from compress.sizes import architecture_of
from compress.training import Term
from compress_distill.matching import Place, blocks_compared
from compress_distill.menu import AttendingLoss, AttentionLoss, LossItem, Part, RelationsLoss
from compress_distill.relations import (
    legal_heads,
    pairs_of_tokens,
    relations_distance,
    rows_divergence,
    scores,
    scores_error,
    usual_heads,
)

Projections = Mapping[Part, Tensor]
"""Queries, keys and values of a layer in one forward pass, [batch, length, width]."""


class Side:
    """The attention layers of a student or of its teacher, ``whose`` they are. While it is open, it
    keeps what their last forward pass computed of the blocks that are asked for.

    Raises UsageError for a family whose parts no architecture describes, and for a model with
    several stacks."""

    def __init__(
        self, model: PreTrainedModel, whose: str, architectures: Sequence[type[Architecture]]
    ) -> None:
        self.whose, self.type = whose, model.config.model_type
        self.is_decoder = bool(getattr(model.config, "is_decoder", False))
        architecture = architecture_of(self.type, architectures)
        stacks = architecture.layout.stacks if architecture and architecture.layout else ()
        if architecture is None or len(stacks) != 1:
            why = "has several stacks of layers" if stacks else "is of a family without a layout"
            raise UsageError(
                f"losses: the {whose}, a {self.type} model, {why}, so that its queries, keys and "
                "values are not found: take relations and attention out of losses"
            )
        self.layout: AttentionLayout = stacks[0].attention
        self.blocks = surgery.blocks_of(model, stacks[0])
        self._model, self._architecture = model, architecture
        self._found: dict[int, dict[str, Tensor]] = {}

    def width(self, block: int, part: Part) -> int:
        """How wide the queries, keys or values of a block are."""
        rows = rows_of(projection_at(self.blocks[block], getattr(self.layout, part)))
        return rows // 3 if self._is_fused else rows

    def heads(self, block: int) -> int:
        """The number of a block's query heads."""
        size = surgery.head_size_of(self._model, self._architecture)
        return self.width(block, "query") // size

    @contextmanager
    def open(self, blocks: Sequence[int]) -> Iterator[None]:
        """Keep what is computed of these ``blocks``."""
        hooks = []
        for number in dict.fromkeys(blocks):
            found = self._found.setdefault(number, {})
            for path in {self.layout.query, self.layout.key, self.layout.value}:
                module = projection_at(self.blocks[number], path)
                hooks.append(module.register_forward_hook(partial(_note, found, path)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            self._found.clear()

    def taken(self, block: int) -> Projections:
        """What the last forward pass computed of a block."""
        found = self._found[block]
        if self._is_fused:
            query, key, value = found[self.layout.query].chunk(3, dim=-1)
            return {"query": query, "key": key, "value": value}
        parts: tuple[Part, ...] = ("query", "key", "value")
        return {part: found[getattr(self.layout, part)] for part in parts}

    def forget(self) -> None:
        """Let go of what was computed."""
        for found in self._found.values():
            found.clear()

    @property
    def _is_fused(self) -> bool:
        return self.layout.query == self.layout.key


def _note(found: dict[str, Tensor], path: str, _: nn.Module, __: object, made: Tensor) -> None:
    found[path] = made


Distance = Callable[[Projections, Projections, Tensor], Term]
"""From a student's and a teacher's layer, and which tokens there are (bool [batch, length]), to a
term of the loss, without its weight."""


@dataclass(frozen=True)
class _Compared:
    """A loss, ready to be computed at its ``places``."""

    loss: AttendingLoss
    places: Sequence[Place]
    distances: Sequence[Distance]


class Attended:
    """The attention layers of a student and of its teacher that losses compare."""

    def __init__(self, own: Side, theirs: Side, compared: Sequence[_Compared]) -> None:
        self._own, self._theirs, self._compared = own, theirs, compared

    def terms(self, loss: AttendingLoss, mask: Tensor | None) -> Iterator[Term]:
        """The weighted terms of one of the losses, after both sides' forward passes. ``mask``
        [batch, length] is not 0 where a token is."""
        found = next(each for each in self._compared if each.loss is loss)
        for (own, theirs), distance in zip(found.places, found.distances, strict=True):
            student, teacher = self._own.taken(own), self._theirs.taken(theirs)
            if mask is None or mask.shape != student["query"].shape[:2]:
                raise UsageError(
                    "losses: relations and attention compare the tokens that a model reads, and of "
                    "this task's inputs it is not said which those are: take them out of losses"
                )
            term = distance(student, teacher, mask.bool())
            yield Term(loss.weight / len(found.places) * term.value, term.count)

    def forget(self) -> None:
        """Let go of what the forward passes computed."""
        self._own.forget()
        self._theirs.forget()


@contextmanager
def attended(
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    losses: Sequence[LossItem],
    layers: Place | None,
    architectures: Sequence[type[Architecture]],
) -> Iterator[Attended]:
    """Within the block what the ``losses`` compare is kept in each forward pass. ``layers`` are as
    in ``matching.matched``.

    Raises UsageError where a loss cannot be computed: for families that are not known, layers that
    a model does not have, and numbers of heads that do not fit."""
    own, theirs = (
        Side(model, whose, architectures)
        for model, whose in ((student, "student"), (teacher, "teacher"))
    )
    compared = []
    for item in losses:
        if isinstance(item.chosen, AttendingLoss):
            places = blocks_compared(item.chosen, layers)
            distances = [_distance(item.chosen, own, theirs, place) for place in places]
            compared.append(_Compared(item.chosen, places, distances))
    every = [place for each in compared for place in each.places]
    with own.open([place for place, _ in every]), theirs.open([place for _, place in every]):
        yield Attended(own, theirs, compared)


def _distance(loss: AttendingLoss, own: Side, theirs: Side, place: Place) -> Distance:
    if isinstance(loss, RelationsLoss):
        return partial(_relations, loss.of, _relation_heads(loss, own, theirs, place))
    assert isinstance(loss, AttentionLoss)
    return partial(_attention, loss.distance, _attention_heads(own, theirs, place))


def _relation_heads(loss: RelationsLoss, own: Side, theirs: Side, place: Place) -> int:
    sides = list(zip((own, theirs), place, strict=True))
    widths = [side.width(block, part) for side, block in sides for part in loss.of]
    if loss.heads is None:
        return usual_heads(widths)
    legal = legal_heads(widths)
    if loss.heads not in legal:
        words = " and ".join(str(width) for width in dict.fromkeys(widths))
        raise UsageError(
            f"losses: relations: heads: {loss.heads} heads do not divide the width of {words}: "
            f"take one of {', '.join(map(str, legal))}"
        )
    return loss.heads


def _attention_heads(own: Side, theirs: Side, place: Place) -> int:
    for side in (own, theirs):
        if not side.layout.is_product or side.is_decoder:
            raise UsageError(
                f"losses: attention: no architecture says that the scores of the {side.whose}, a "
                f"{side.type} model, are products of all its queries and keys and nothing more: "
                "take relations in place of attention"
            )
    counts = [side.heads(block) for side, block in zip((own, theirs), place, strict=True)]
    if counts[0] != counts[1]:
        raise UsageError(
            f"losses: attention: the student has {counts[0]} heads and the teacher {counts[1]}, "
            "whose scores cannot be compared: take relations, which divide both alike"
        )
    return counts[0]


def _relations(
    parts: Sequence[Part], heads: int, student: Projections, teacher: Projections, mask: Tensor
) -> Term:
    found = [relations_distance(student[part], teacher[part], mask, heads) for part in parts]
    return Term(torch.stack(found).mean(), int(mask.sum()))


def _attention(
    distance: str, heads: int, student: Projections, teacher: Projections, mask: Tensor
) -> Term:
    own, theirs = (scores(side["query"], side["key"], heads) for side in (student, teacher))
    if distance == "mse":
        return Term(scores_error(own, theirs, mask), int(pairs_of_tokens(mask).sum()))
    return Term(rows_divergence(own, theirs, mask), int(mask.sum()))
