"""A plugin's meter, whose exceptions cost no more than its own figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from compress.measurement import Measurement, absent, finite
from compress.meter import Effort, Meter, Rounds, Sample
from compress.registry.plugins import Registered, Registry
from compress.task import Task
from compress.workers.failures import why_no_figure

T = TypeVar("T")


class MeterFailed(Exception):
    """A meter raised an exception. The text says which meter, of which plugin, and where."""


@dataclass(frozen=True)
class Taken:
    """The samples of one meter: ``samples[side]`` in the order of rounds, and why a side has none
    because the meter failed. A side without either is not measured by the meter."""

    samples: Mapping[str, Sequence[Sample]]
    failures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GuardedMeter:
    """A meter with its plugin. Its measurements are finite; an exception becomes an absent one with
    the reason, under the meter's name."""

    entry: Registered[Meter]
    meter: Meter

    @classmethod
    def of(cls, entry: Registered[Meter]) -> GuardedMeter:
        """The guarded meter of a registered class."""
        return cls(entry, entry.cls())

    @classmethod
    def all_of(cls, registry: Registry) -> dict[str, GuardedMeter]:
        """The meters of the installed plugins, by name."""
        return {name: cls.of(entry) for name, entry in registry.meters.items()}

    @property
    def name(self) -> str:
        """The meter's name."""
        return self.entry.name

    @property
    def takes_turns(self) -> bool:
        """Whether its samples are timings."""
        return self.meter.takes_turns

    @property
    def keeps(self) -> bool:
        """Whether its samples are kept."""
        return self.meter.keeps

    def measures(self, task: type[Task[Any]]) -> bool:
        """Whether there is anything to measure for a task. Raises MeterFailed."""
        return self._call("measures", lambda: self.meter.measures(task))

    def rounds(self, effort: Effort) -> Rounds:
        """How many samples are taken of each side. Raises MeterFailed."""
        return self._call("rounds", lambda: self.meter.rounds(effort))

    def half_width(self, samples: Sequence[Sample], others: Sequence[Sample]) -> float:
        """Half the width of the comparison's interval. Raises MeterFailed."""
        return self._call("half_width", lambda: self.meter.half_width(samples, others))

    def summarise(self, taken: Taken, side: str) -> list[Measurement]:
        """The measurements of a side; an absent one where the meter failed."""
        if side in taken.failures:
            return [self.missing(taken.failures[side])]
        if side not in taken.samples:
            return []
        samples = taken.samples[side]
        return self._figures("summarise", lambda: self.meter.summarise(samples))

    def compare(self, samples: Sequence[Sample], others: Sequence[Sample]) -> list[Measurement]:
        """The comparisons of samples with others; an absent one where the meter failed."""
        return self._figures("compare", lambda: self.meter.compare(samples, others))

    def inherit(
        self, own: Sequence[Measurement], parent: Mapping[str, Measurement], name: str
    ) -> list[Measurement]:
        """``own`` measurements, completed by the parent's; as they are, with an absent one, where
        the meter failed."""
        try:
            return self._call("inherit", lambda: list(self.meter.inherit(own, parent, name)))
        except MeterFailed as failure:
            return [*own, self.missing(str(failure))]

    def missing(self, why: str) -> Measurement:
        """The absent measurement that stands for those of the meter."""
        return absent(self.name, "", "neither", why)

    def _figures(self, method: str, call: Callable[[], Iterable[Measurement]]) -> list[Measurement]:
        try:
            return self._call(method, lambda: [_reportable(m) for m in call()])
        except MeterFailed as failure:
            return [self.missing(str(failure))]

    def _call(self, method: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except Exception as error:  # whatever a plugin raises: the others go on
            raise MeterFailed(why_no_figure(self.entry, method, error)) from error


def _reportable(m: Measurement) -> Measurement:
    """A finite measurement that a report can hold. Raises TypeError for anything else."""
    if not isinstance(m, Measurement):
        raise TypeError(f"{type(m).__name__} is no Measurement")
    json.dumps(m.as_dict())
    return finite(m)
