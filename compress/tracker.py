"""Trackers: each writes what happens in a run, and what it came to, into a place where experiments
are looked at.

A run does not need its trackers: one that fails is reported in one line and dropped.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

Event = Mapping[str, Any]
"""One event of a run: ``event`` names it, ``time`` is in seconds since 1970."""

Listener = Callable[[dict[str, Any]], None]
"""Called with each event of a run as it happens."""


def against_references(step: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What a step of a report is against the reference (``reference``), and against that in its
    fastest float engine where this is another (``fastest``): what compression gained apart from
    what the engine did. Of each, ``name`` and ``comparisons``."""
    found = {
        which: step[f"against_{which}"]
        for which in ("reference", "fastest")
        if step[f"against_{which}"]
    }
    same = len(found) == 2 and found["fastest"]["name"] == found["reference"]["name"]
    return {"reference": found["reference"]} if same else found


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
    def finish(self, report: Mapping[str, Any]) -> None:
        """Write what the run came to and close. ``state`` of the report is ``finished``, ``failed``
        or ``interrupted``; it has the steps that were made until then."""
