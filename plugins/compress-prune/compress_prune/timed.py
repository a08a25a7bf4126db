"""Targets of latency: what every unit costs in time comes from a table, and the model that was cut
by it is timed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, log
from typing import Any

from transformers import PreTrainedModel

from compress_prune.costs import Kept, Scores, Units, least_cost, ties_of, within
from compress_prune.goal import out_of_reach
from compress_prune.latencytable import LatencyTable
from compress_prune.serving import Figure, Timer

_TRIES = 3
"""Cut models that are timed at most until one takes what was asked for."""
_NEAR = 0.03
"""How near is near enough, as a share of the time asked for: a measurement is hardly nearer."""
_CUT = "the cut model"


@dataclass(frozen=True)
class Timing:
    """A goal whose costs are timed. ``model`` is what is cut; ``aim`` is the time asked for, as a
    share of the input's."""

    table: LatencyTable
    timer: Timer
    model: PreTrainedModel
    aim: float
    is_free: bool

    def refuse_out_of_reach(self, units: Units, scale: float = 1.0) -> None:
        """Raise UsageError if even the narrowest model takes too long, where models take ``scale``
        times what the table says."""
        least = scale * least_cost(units, self.table.cost)
        if least > self.aim:
            nearest = f"latency: {floor(100 / least) / 100:g}x in {self.table.engine}"
            raise out_of_reach(nearest, self.is_free)

    def kept(self, units: Units, scores: Scores) -> tuple[list[list[int]], dict[str, Any]]:
        """See ``compress_prune.goal.Goal``. A model that was cut so is timed. If it takes another
        time than was predicted, the widths are chosen again by the table times that ratio."""
        found: list[list[list[int]]] = []
        tries: list[dict[str, float | None]] = []
        scale, ties = 1.0, ties_of(units, self.is_free)
        for _ in range(_TRIES):
            self.refuse_out_of_reach(units, scale)
            kept = within(units, scores, self.table.cost, self.aim / scale, ties)
            assert kept is not None, "that was refused"
            if kept in found:
                break
            predicted = scale * self.table.cost.of(units, kept)
            figure = self._timed(kept)
            found.append(kept)
            tries.append(_as_speeds(predicted, figure))
            if self._is_near(figure):
                break
            scale *= figure.share / predicted
        best = min(
            range(len(tries)), key=lambda i: abs(log((tries[i]["measured"] or 1) * self.aim))
        )
        served = {"form": self.table.form, "engine": self.table.engine}
        self._tell(tries[best], len(tries))
        return found[best], {**served, **tries[best], "tries": tries}

    def _is_near(self, figure: Figure) -> bool:
        """Whether a time is what was asked for, as far as the measurement tells: another try would
        follow the noise."""
        is_within = bool(figure.low and figure.high and figure.low <= self.aim <= figure.high)
        return is_within or abs(figure.share / self.aim - 1) <= _NEAR

    def _tell(self, reached: Mapping[str, float | None], tries: int) -> None:
        """Say what was reached: where no try was near enough, that is not what was asked for."""
        self.timer.context.note(
            f"latency: {1 / self.aim:g}x asked, {reached['predicted']:.2f}x predicted, "
            f"{reached['measured']:.2f}x{_interval(reached)} measured in {self.table.engine}"
            + (f", the nearest of {tries} tries" if tries > 1 else "")
        )

    def _timed(self, kept: Kept) -> Figure:
        return self.timer.figures(self.model, {_CUT: kept})[_CUT]


def _interval(speeds: Mapping[str, float | None]) -> str:
    """The interval of a measured speed; nothing where there is none."""
    low, high = speeds["low"], speeds["high"]
    return f" [{low:.2f}, {high:.2f}]" if low and high else ""


def _as_speeds(predicted: float, figure: Figure) -> dict[str, float | None]:
    """Times as a share of the input's, as how many times as fast it is."""
    return {
        "predicted": 1 / predicted,
        "measured": 1 / figure.share,
        "low": 1 / figure.high if figure.high else None,
        "high": 1 / figure.low if figure.low else None,
        "milliseconds": figure.milliseconds,
    }
