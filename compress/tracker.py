"""Trackers: each writes what happens in a run, and what it came to, into a place where experiments
are looked at.

A run does not need its trackers: one that fails is reported in one line and dropped.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

Event = Mapping[str, Any]
"""One event of a run: ``event`` names it, ``time`` is in seconds since 1970."""
Report = Mapping[str, Any]
"""What ``report.json`` holds."""
Listener = Callable[[dict[str, Any]], None]
"""Called with each event of a run as it happens."""


Side = Literal["measured", "vs_reference", "vs_fastest"]
"""The step alone, or against the reference: as it is, or in its fastest float engine."""


@dataclass(frozen=True)
class ReportedNumber:
    """A measurement or a comparison in a report. ``step`` is the name of its step and ``place`` the
    place of that step in the run, from 0. Where ``value`` is None, ``absent`` says why. ``low`` and
    ``high`` are the ends of its 95 % interval."""

    step: str
    place: int
    side: Side
    name: str
    value: float | None
    low: float | None
    high: float | None
    unit: str
    absent: str

    def values(self) -> dict[str, float]:
        """The value under ``""`` and the ends of the interval under ``.low`` and ``.high``, as far
        as they are known: suffixes of a name in a log."""
        ends = {"": self.value, ".low": self.low, ".high": self.high}
        return {end: value for end, value in ends.items() if value is not None}


def reported_numbers(report: Report) -> Iterator[ReportedNumber]:
    """Every measurement of every step, then every comparison of it with the reference, and with the
    reference in its fastest float engine where that is another: what compression gained apart from
    what the engine did."""
    for place, step in enumerate(report["steps"]):
        for side, numbers in _sides(step).items():
            for name, number in numbers.items():
                known = {key: number[key] for key in ("value", "low", "high", "unit", "absent")}
                yield ReportedNumber(step["name"], place, side, name, **known)


def _sides(step: Mapping[str, Any]) -> dict[Side, Mapping[str, Any]]:
    sides: dict[Side, Mapping[str, Any]] = {"measured": step["measurements"]}
    reference, fastest = step["against_reference"], step["against_fastest"]
    if reference:
        sides["vs_reference"] = reference["comparisons"]
    if fastest and not (reference and fastest["name"] == reference["name"]):
        sides["vs_fastest"] = fastest["comparisons"]
    return sides


class Tracker(ABC):
    """One log of one run. Lives in the process that runs the recipe: no torch, and what it needs is
    imported in methods.

    ``packages`` are the modules it imports; where one is missing the run is refused before it
    starts, with ``extra``, the extra of the toolkit that installs them, as the way out."""

    name: ClassVar[str]
    summary: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str | None] = None

    @abstractmethod
    def start(self, folder: Path, name: str) -> str:
        """Where the log can be looked at, in words for one line. ``folder`` is the run's and exists
        (a continued run has the same), ``name`` the recipe's."""

    def event(self, event: Event) -> None:
        """Take in one event of the run: ``event`` says which, ``time`` when (seconds since 1970).

        Training tells ``progress`` with ``step``, ``done`` and ``total`` (optimizer steps) and
        ``values`` (``loss``)."""

    @abstractmethod
    def finish(self, report: Report) -> None:
        """Write what the run came to and close. ``state`` of the report is ``finished``, ``failed``
        or ``interrupted``; it has the steps that were made until then."""
