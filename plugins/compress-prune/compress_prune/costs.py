"""What a model costs by the units that its blocks keep: in parameters, in bytes, or in time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from compress_prune.budget import Part, least_loss, losses_of, sizes_of
from compress_prune.units import Heads, Neurons

_CELLS = 10_000
"""Parts of a budget that is no whole number. What units cost is rounded up to whole parts."""

Units = Sequence[Neurons | Heads]
Kept = Sequence[Sequence[int]]
"""For each of the units, how many each block keeps."""
UnitsIn = Callable[[PreTrainedModel], Units]
Scores = Sequence[Sequence[np.ndarray]]
"""For each of the units, the importance of each block's."""
Ties = Sequence[Sequence[tuple[int, int]]]
"""The blocks, as (number among the units, block), that keep the same number of units."""


@dataclass(frozen=True)
class Curve:
    """What is saved where all blocks keep a share of their units: ``saved`` at each of ``shares``,
    ascending, and linear between them."""

    shares: Sequence[float]
    saved: Sequence[float]

    def at(self, share: float) -> float:
        """What is saved at a share."""
        return float(np.interp(share, self.shares, self.saved))


@dataclass(frozen=True)
class Cost:
    """What a model costs with all its units, and a curve of what is saved for each of its units.
    What several save adds up, and each block saves its part."""

    whole: float
    curves: Sequence[Curve]

    def saved(self, units: Units, kind: int, block: int, kept: int) -> float:
        """What one block saves where it keeps so many of the units of a kind."""
        counts = [each.units for each in units[kind].gated]
        share = kept / counts[block]
        return self.curves[kind].at(share) * counts[block] / sum(counts)

    def of(self, units: Units, kept: Kept) -> float:
        """What the model costs where its blocks keep so many."""
        return self.whole - sum(
            self.saved(units, kind, block, count)
            for kind, counts in enumerate(kept)
            for block, count in enumerate(counts)
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Cost:
        """From ``as_dict``."""
        return cls(values["whole"], [Curve(**each) for each in values["curves"]])


def counted(
    model: PreTrainedModel,
    units_in: UnitsIn,
    amount: Callable[[PreTrainedModel], float],
) -> Cost:
    """The cost of a model by what ``amount`` counts of it, such as its parameters: every unit of a
    kind has equally many. ``units_in`` finds the units of a model."""
    cut = copy.deepcopy(model)
    curves, whole = [], amount(model)
    before = whole
    for unit in units_in(cut):
        counts = [each.units for each in unit.gated]
        fewest = narrowest(unit)
        cut_evenly(unit, fewest)
        after = amount(cut)
        gone = sum(counts) - sum(fewest)
        each = (before - after) / gone if gone else 0.0
        curves.append(Curve([0.0, 1.0], [each * sum(counts), 0.0]))
        before = after
    return Cost(whole, curves)


def narrowest(unit: Neurons | Heads) -> list[int]:
    """The fewest units that each block can keep."""
    return [min(unit.step, each.units) for each in unit.gated]


def cut_evenly(unit: Neurons | Heads, kept: Sequence[int]) -> None:
    """Cut a model of which only the shape counts: the first units of each block stay."""
    unit.cut([np.zeros(each.units) for each in unit.gated], kept)


def least_cost(units: Units, cost: Cost) -> float:
    """What the model costs where every block keeps the fewest units."""
    return cost.of(units, [narrowest(unit) for unit in units])


def ties_of(units: Units, is_free: bool) -> Ties:
    """The blocks that keep the same number of units. Without ``is_free`` these are all whose number
    one key of the config states."""
    tied: dict[object, list[tuple[int, int]]] = {}
    for kind, unit in enumerate(units):
        for block in range(len(unit.gated)):
            own: object = (kind, block) if unit.is_free else kind
            tied.setdefault(own if is_free else unit.stated_by, []).append((kind, block))
    return list(tied.values())


def within(
    units: Units, scores: Scores, cost: Cost, budget: float, ties: Ties
) -> list[list[int]] | None:
    """How many units each block keeps, so that the model costs at most ``budget`` and the sum of
    the ``scores`` that go is the least; None if nothing is so small."""
    kept = [[each.units for each in unit.gated] for unit in units]
    if cost.whole <= budget:
        return kept
    room = budget - least_cost(units, cost)
    if room < 0:
        return None
    cell = room / _CELLS or 1.0
    judged = [unit.judged(own) for unit, own in zip(units, scores, strict=True)]
    parts = [_part(units, judged, cost, tie, cell) for tie in ties]
    sizes = least_loss(parts, _CELLS if room else 0)
    assert sizes is not None, "the smallest sizes cost nothing"
    for tie, size in zip(ties, sizes, strict=True):
        for kind, block in tie:
            kept[kind][block] = min(size, kept[kind][block])
    return kept


def _part(
    units: Units,
    scores: Scores,
    cost: Cost,
    tie: Sequence[tuple[int, int]],
    cell: float,
) -> Part:
    """The sizes of tied blocks, each with what they lose and, above the smallest, cost together."""
    counts = [units[kind].gated[block].units for kind, block in tie]
    sizes = sizes_of(max(counts), units[tie[0][0]].step)
    losses = np.zeros(len(sizes))
    saved = np.zeros(len(sizes))
    for (kind, block), count in zip(tie, counts, strict=True):
        losses += losses_of(scores[kind][block], sizes)
        saved += [cost.saved(units, kind, block, min(size, count)) for size in sizes]
    # A hair of rounding must not cost a cell.
    costs = np.ceil((saved.max() - saved) / cell - 1e-9).astype(int)
    return Part(sizes, losses.tolist(), costs.tolist())
