"""Targets that are counted: a share of the parameters, or the bytes of the saved weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel

from compress.artifact import Artifact
from compress.models import count_parameters
from compress.weightfiles import weight_files
from compress_prune.costs import Cost, Scores, Units, UnitsIn, counted, least_cost, ties_of, within
from compress_prune.goal import out_of_reach

if TYPE_CHECKING:
    from compress_prune.target import Target


@dataclass(frozen=True)
class Amount:
    """What is counted of a model, how much of it the step's input has, and how much may stay.
    ``in_words`` writes an amount as a target."""

    of: Callable[[PreTrainedModel], float]
    before: float
    budget: float
    in_words: Callable[[float], str]


def amount_of(target: Target, source: Artifact, model: PreTrainedModel) -> Amount | None:
    """What the target counts of a step's input ``source``, which is opened as ``model``; None for a
    latency."""
    if target.parameters is not None:
        whole = count_parameters(model)
        budget = target.parameters * whole
        return Amount(count_parameters, whole, budget, lambda n: f"parameters: {_up(n / whole)}")
    if target.size is not None:
        # The header of a cut model is hardly smaller.
        headers = sum(map(_header_bytes, weight_files(source.folder)))

        def stored(of: PreTrainedModel) -> float:
            return headers + _tensor_bytes(of)

        return Amount(stored, stored(model), target.bytes, lambda n: f"size: {_up(n / 1e6)} MB")
    return None


def _up(number: float) -> str:
    """A number rounded up to a hundredth, or a thousandth below 1."""
    digits = 1e3 if number < 1 else 1e2
    return f"{ceil(digits * number) / digits:g}"


def _tensor_bytes(model: PreTrainedModel) -> int:
    """Bytes of the tensors that are saved; shared ones count once."""
    tensors = {each.data_ptr(): each for each in model.state_dict().values()}
    return sum(each.numel() * each.element_size() for each in tensors.values())


def _header_bytes(file: Path) -> int:
    """Bytes of a safetensors file before its tensors."""
    with file.open("rb") as opened:  # its first eight bytes say how long the rest of it is
        return 8 + int.from_bytes(opened.read(8), "little")


@dataclass(frozen=True)
class Counting:
    """A goal whose costs are counted, and so exact."""

    amount: Amount
    cost: Cost
    is_free: bool

    @classmethod
    def of(
        cls, amount: Amount, model: PreTrainedModel, units_in: UnitsIn, is_free: bool
    ) -> Counting:
        """The goal for ``model``, which may have lost layers already. Raises UsageError if it
        cannot be reached."""
        cost = counted(model, units_in, amount.of)
        least = least_cost(units_in(model), cost)
        if least > amount.budget:
            raise out_of_reach(amount.in_words(least), is_free)
        return cls(amount, cost, is_free)

    def kept(self, units: Units, scores: Scores) -> tuple[list[list[int]], dict[str, Any]]:
        """See ``compress_prune.goal.Goal``."""
        ties = ties_of(units, self.is_free)
        kept = within(units, scores, self.cost, self.amount.budget, ties)
        assert kept is not None, "that was asked before"
        return kept, {"before": self.amount.before, "left": round(self.cost.of(units, kept))}
