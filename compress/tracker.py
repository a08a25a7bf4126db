"""Trackers: each writes the events and the report of a run into a log that another program shows.

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
"""The content of ``report.json``. ``compress report --schema`` prints its JSON Schema."""
Listener = Callable[[dict[str, Any]], None]
"""Called with each event of a run as it happens."""

Side = Literal["measured", "vs_reference", "vs_fastest"]
"""A number of the step itself, or of its comparison with the reference: as it is, or in its fastest
float engine."""


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
        """The value and the ends of the interval, without those that are not known, by the suffix
        of their name in a log: ``""``, ``.low``, ``.high``."""
        ends = {"": self.value, ".low": self.low, ".high": self.high}
        return {end: value for end, value in ends.items() if value is not None}


def reported_numbers(report: Report) -> Iterator[ReportedNumber]:
    """The numbers of each step: its measurements, its comparisons with the reference, and those
    with the reference in its fastest float engine where that is another artifact."""
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
    """One log of one run. It lives in the process that runs the recipe, so it does not use torch,
    and it imports its packages only in methods.

    Its methods are called one after the other, on a thread of their own. A tracker whose call takes
    longer than 30 seconds is left out, and the run goes on.

    ``packages`` are the modules that it imports. Where one is missing, the run is refused before it
    starts; the message names ``extra``, the extra of its distribution that installs them."""

    name: ClassVar[str]
    summary: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str | None] = None

    @abstractmethod
    def start(self, folder: Path, name: str) -> str:
        """One line that says where to look at the log. ``folder`` is the run's folder; it exists,
        and a continued run has the same. ``name`` is the recipe's."""

    def event(self, event: Event) -> None:
        """Handle one event of the run. ``event`` is its kind, ``time`` is in seconds since 1970.

        Training sends the kind ``progress`` with ``step``, ``done`` and ``total`` (optimizer steps)
        and ``values`` (``loss``)."""

    @abstractmethod
    def finish(self, report: Report) -> None:
        """Write the report of the run and close the log. Its ``state`` is ``finished``, ``failed``
        or ``interrupted``; it has the steps that were made until then."""
