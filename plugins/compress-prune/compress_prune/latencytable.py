"""The table of what heads and feed-forward neurons cost in time: models cut to a few widths, all
layers alike, are timed in the form that serves.

That is the table of ZipLM (Kurtic et al. 2023, section 3.2). Of models that are timed only the
shapes count, so the table is made before it is known which units are important.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from transformers import PreTrainedModel

from compress.machine import versions
from compress.stage import Context
from compress_prune.costs import Cost, Curve, narrowest
from compress_prune.serving import Figure, Form, Timer, fastest

if TYPE_CHECKING:
    from compress_prune.options import StructuredOptions
    from compress_prune.units import Heads, Neurons

KIND = "latency-table"
_FILE = "table.json"
_SHARES = (0.0, 0.25, 0.5, 0.75)
"""Shares of the units at which models are timed; at 0 the fewest stay."""
_WHOLE = "all units of the layers that are left"
_NARROWEST = "the fewest units of all kinds"


@dataclass(frozen=True)
class LatencyTable:
    """What a model takes, as a share of the time of the step's input in the ``form`` and the
    ``engine`` that serve."""

    form: str
    engine: str
    cost: Cost

    @classmethod
    def read(cls, folder: Path) -> LatencyTable:
        """From the folder of its product."""
        values = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return cls(values["form"], values["engine"], Cost.from_dict(values["cost"]))

    def write(self, folder: Path) -> None:
        """Into the folder of its product."""
        (folder / _FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")


def latency_table(
    context: Context[StructuredOptions],
    among: Sequence[Form],
    timer_of: Callable[[Form], Timer],
    model: PreTrainedModel,
    layers: Mapping[str, Sequence[int]],
) -> LatencyTable:
    """The table for ``model``, which has these ``layers`` of the input, from the store, or measured
    now. It is for the one of the forms ``among`` that is fastest on this machine."""
    assert context.input is not None and context.data is not None, "a plan gives both"
    ingredients = {
        "input": context.input.digest,
        "data": context.data.digest,
        "task": context.task.name,
        "task_options": context.task.options.model_dump(mode="json"),
        "layers": {name: list(numbers) for name, numbers in layers.items()},
        "shape": context.options.shape,
        "forms": {form.name: dict(form.versions) for form in among},
        "machine": dict(context.options.left_to_machine()),
        "versions": versions(("compress-toolkit", "compress-prune", "compress-meters")),
    }

    def make(folder: Path) -> None:
        timer = timer_of(fastest(context, among))
        _measured(timer, model, context.options.layers is not None).write(folder)

    return LatencyTable.read(context.product(KIND, ingredients, make))


def _measured(timer: Timer, model: PreTrainedModel, is_cut: bool) -> LatencyTable:
    """The table, measured. ``is_cut``: the model may have fewer layers than the input."""
    units = timer.units_in(model)
    everything = [[each.units for each in unit.gated] for unit in units]
    cuts = {_WHOLE: everything} if is_cut else {}
    names: list[list[str]] = []
    for kind, unit in enumerate(units):
        names.append([])
        for share in _SHARES:
            kept = at_share(unit, share)
            name = f"{unit.name}: {max(kept)}"
            cuts[name] = [*everything[:kind], kept, *everything[kind + 1 :]]
            names[-1].append(name)
    if len(units) > 1:
        cuts[_NARROWEST] = [narrowest(unit) for unit in units]
    figures = timer.figures(model, cuts)
    whole = figures[_WHOLE].share if is_cut else 1.0
    curves = [
        _curve(unit, whole, [(cuts[name][kind], figures[name]) for name in own])
        for kind, (unit, own) in enumerate(zip(units, names, strict=True))
    ]
    engine = next(iter(figures.values())).engine
    if _NARROWEST in figures:
        curves = _together(whole, curves, figures[_NARROWEST].share)
    return LatencyTable(timer.form.name, engine, Cost(whole, curves))


def _together(whole: float, curves: Sequence[Curve], least: float) -> list[Curve]:
    """The curves of the kinds, where the narrowest model takes ``least``.

    On a busy machine the sum of what each kind saves alone was seen above and below what they save
    together, and even above the whole. So the curves are stretched until the sum is what was
    measured."""
    total = sum(curve.saved[0] for curve in curves)
    factor = (whole - least) / total if total > 0 and least < whole else 1.0
    return [Curve(each.shares, [factor * saved for saved in each.saved]) for each in curves]


def at_share(unit: Neurons | Heads, share: float) -> list[int]:
    """How many units each block keeps at a share: a multiple of the step, and not fewer than the
    fewest."""
    counts = [each.units for each in unit.gated]
    rounded = [unit.step * round(share * count / unit.step) for count in counts]
    return [
        min(max(fewest, kept), count)
        for fewest, kept, count in zip(narrowest(unit), rounded, counts, strict=True)
    ]


def _curve(
    unit: Neurons | Heads, whole: float, timed: Sequence[tuple[Sequence[int], Figure]]
) -> Curve:
    """What is saved at the shares that were timed, and at all units nothing. Fewer units never save
    less: where a time says so, it is noise."""
    total = sum(each.units for each in unit.gated)
    points = {sum(kept) / total: whole - figure.share for kept, figure in timed}
    points[1.0] = 0.0
    shares = sorted(points)
    saved = np.maximum.accumulate([points[share] for share in reversed(shares)])[::-1]
    return Curve(shares, saved.tolist())
