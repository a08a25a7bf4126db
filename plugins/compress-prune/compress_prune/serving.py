"""How long cut models take in the form that serves: each is converted as the model that is served
will be, and timed in turns with the step's input.

Times are shares of the input's. Both sides of a share are measured at the same moments, so that
what else the machine does counts for neither.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import PreTrainedModel

from compress.architecture import Architecture
from compress.errors import REFUSALS, CompressError, first_line
from compress.machine import versions
from compress.measurement import Measured
from compress.meter import Effort
from compress.models import save_model
from compress.processor import Processor
from compress.quantities import LATENCY, SPEEDUP
from compress.shapes import settle
from compress.stage import Candidate, Context, Made
from compress_prune.costs import Kept, UnitsIn, cut_evenly

if TYPE_CHECKING:
    from compress_prune.options import StructuredOptions

AS_IT_IS = "as it is"
"""The form of a PyTorch model that no stage converts."""
_INPUT = "input"
_ROWS = 256
"""Training rows of which the latency meter draws its examples."""
_AT_ONCE = 4
"""Models that are measured together: each has a process of its own."""


@dataclass(frozen=True)
class Form:
    """What a model is served as: by the stage that a choice of the step names, or ``AS_IT_IS``.
    ``made`` is the step's input in that form."""

    name: str
    made: Candidate
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Figure:
    """A time as a share of the input's, with the ends of its 95 % interval; ``milliseconds`` of the
    median call, in ``engine``."""

    share: float
    low: float | None
    high: float | None
    milliseconds: float
    engine: str


def forms(context: Context[StructuredOptions]) -> list[Form]:
    """The step's input in every form that may serve: those that ``serve`` lists, else as it is and
    in each float form that can be made.

    Raises the error of a listed one that cannot be made."""
    assert context.input is not None, "a plan gives this stage an input"
    listed = context.options.serve
    found = []
    if not listed:
        of_torch = versions(("torch", "transformers"))
        found.append(Form(AS_IT_IS, Candidate(context.input.folder), of_torch))
    for name, traits in context.choices.items():
        if listed is None and traits.precision != "float":
            continue
        context.progress(0, 1, f"making {name}")
        try:
            made = context.choice(name)
        except REFUSALS as error:
            if listed is not None:
                raise
            context.note(f"{name} cannot serve: {first_line(error)}")
            continue
        found.append(Form(name, Candidate(made.folder), made.manifest.versions))
    return found


def fastest(context: Context[StructuredOptions], among: Sequence[Form]) -> Form:
    """The form in which the input is fastest. One that its engine refuses is left out, unless it
    alone may serve."""
    if len(among) == 1:
        return among[0]
    context.progress(0, 1, "looking for the fastest engine")
    first, *others = among
    shares = {first.name: 1.0}
    for other in others:
        try:
            sides = {_INPUT: first.made, other.name: other.made}
            shares[other.name] = _figures(context, sides, "quick")[other.name].share
        except REFUSALS as error:
            context.note(f"{other.name} cannot serve: {first_line(error)}")
    best = min(shares, key=lambda name: shares[name])
    return next(form for form in among if form.name == best)


def _figures(
    context: Context[StructuredOptions], sides: Mapping[str, Candidate], effort: Effort
) -> dict[str, Figure]:
    """The figures of all but the first, against the first. Raises CompressError if nothing can be
    timed."""
    measured = context.measure(
        sides,
        split="train",
        meters=("latency",),
        effort=effort,
        rows=_ROWS,
    )
    return {name: _figure(measured[name]) for name in sides if name != _INPUT}


def _figure(measured: Measured) -> Figure:
    time = measured.measurements.get(LATENCY)
    faster = measured.comparisons.get(_INPUT, {}).get(SPEEDUP)
    if not (time and time.value and faster and faster.value):
        why = time.absent if time else "no meter measures latency: install compress-meters"
        raise CompressError(f"target: latency cannot be measured: {why}")
    low, high = (1 / end if end else None for end in (faster.high, faster.low))
    engine = str(time.conditions.get("engine", ""))
    return Figure(1 / faster.value, low, high, float(time.value), engine)


@dataclass(frozen=True)
class Timer:
    """Times cut models in one form. ``units_in`` finds the units of a model."""

    context: Context[StructuredOptions]
    architecture: type[Architecture]
    units_in: UnitsIn
    form: Form

    def figures(self, model: PreTrainedModel, cuts: Mapping[str, Kept]) -> dict[str, Figure]:
        """The figures of copies of ``model``, by name: the blocks of each keep so many units."""
        names = list(cuts)
        found: dict[str, Figure] = {}
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            with self._folder() as folder:
                sides = {_INPUT: self.form.made}
                for number, name in enumerate(some):
                    self.context.progress(start + number, len(names), f"timing {name}")
                    sides[name] = self._served(model, cuts[name], folder / str(number))
                found |= _figures(self.context, sides, "standard")
        return found

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """A folder for copies. They and what is made of them are deleted at the end: they are as
        large as the model."""
        folders = [self.context.work / name for name in ("copies", "choices")]
        for each in folders:
            shutil.rmtree(each, ignore_errors=True)  # of a try that was killed
        try:
            yield folders[0]
        finally:
            for each in folders:
                shutil.rmtree(each, ignore_errors=True)

    def _served(self, model: PreTrainedModel, kept: Kept, folder: Path) -> Candidate:
        """A copy of the model, cut, in the form that serves. Only its shape counts, so whichever
        units stay."""
        source, task = self.context.input, self.context.task
        assert source is not None
        made = copy.deepcopy(model)
        for unit, counts in zip(self.units_in(made), kept, strict=True):
            cut_evenly(unit, counts)
        folder.mkdir(parents=True)
        edits = settle(made, self.architecture)
        parameters = save_model(made, folder)
        processor: Processor = task.processor(source.folder)
        processor.save(folder)
        candidate = Candidate(folder, Made(parameters=parameters, edits=edits))
        if self.form.name == AS_IT_IS:
            return candidate
        return Candidate(self.context.choice(self.form.name, candidate).folder)
