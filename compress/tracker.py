"""Trackers: each writes what happens in a run, and what it came to, into a place where experiments
are looked at.

A tracker is turned on for a run, never needed by it: one that fails is told in one line and
dropped.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from compress.errors import name_and_first_line

Event = Mapping[str, Any]
Listener = Callable[[dict[str, Any]], None]


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


class Tracking:
    """Passes a run's events to its listener, then to its trackers, and drops a tracker that
    fails."""

    def __init__(self, trackers: Sequence[Tracker], listener: Listener) -> None:
        self._trackers = list(trackers)
        self._listener = listener

    def start(self, folder: Path, name: str) -> None:
        """Start every tracker and tell where it can be looked at."""
        if self._trackers:
            folder.mkdir(parents=True, exist_ok=True)
        self._each(lambda tracker: self._note(f"{tracker.name}: {tracker.start(folder, name)}"))

    def event(self, event: dict[str, Any]) -> None:
        """Pass one event on."""
        self._listener(event)
        self._each(lambda tracker: tracker.event(event))

    def finish(self, report: Mapping[str, Any]) -> None:
        """Hand the report to every tracker."""
        self._each(lambda tracker: tracker.finish(report))

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for tracker in list(self._trackers):
            try:
                call(tracker)
            except (
                Exception
            ) as error:  # a stranger's code and a server far away: whatever it is, the run goes on
                self._trackers.remove(tracker)
                self._note(
                    f"warning: tracker {tracker.name} failed and is left out: "
                    f"{name_and_first_line(error)}"
                )

    def _note(self, text: str) -> None:
        self._listener({"event": "note", "time": time.time(), "text": text})
