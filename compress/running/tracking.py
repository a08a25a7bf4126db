"""The trackers of a run: they are opened before it begins, get every event, and are dropped when
they fail or hang."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from compress.errors import Mistake, UsageError, suggestion
from compress.registry.plugins import Registered, Registry
from compress.running.observer import Call, Observer
from compress.running.packages import refuse_missing_packages
from compress.tracker import Listener, Report, Tracker

PATIENCE_SECONDS = 30.0
"""The longest that one call of a tracker may take. A client may try a server several times."""
_SILENT = f"has not answered for {PATIENCE_SECONDS:.0f} s and is left out: its log is not complete"


def open_trackers(names: Iterable[str], registry: Registry) -> list[Tracker]:
    """A tracker for each name, once. Raises UsageError for unknown ones, PackageMissing where a
    package is missing."""
    wanted = list(dict.fromkeys(names))
    mistakes = [_mistake(name, registry) for name in wanted if name not in registry.trackers]
    if mistakes:
        raise UsageError(mistakes)
    return [_opened(registry.trackers[name]) for name in wanted]


def _mistake(name: str, registry: Registry) -> Mistake:
    hint = registry.clashes.get(("trackers", name)) or suggestion(name, registry.trackers)
    return Mistake("", f"there is no tracker {name!r}", hint)


def _opened(entry: Registered[Tracker]) -> Tracker:
    refuse_missing_packages("tracker", entry, entry.cls.packages)
    return entry.cls()


class Tracking:
    """Passes a run's events to its listener, then to its trackers, and drops a tracker that fails
    or hangs.

    Trackers work on threads of their own. The run waits for one, so that it does not work while
    something is timed; but in all at most ``PATIENCE_SECONDS`` at the start, as long while the run
    goes on, and as long at the end."""

    def __init__(self, trackers: Sequence[Tracker], listener: Listener) -> None:
        self._observers = [Observer(tracker) for tracker in trackers]
        self._patience = {observer.name: PATIENCE_SECONDS for observer in self._observers}
        self._listener = listener

    def start(self, folder: Path, name: str) -> None:
        """Start every tracker, with a note on where its log can be seen."""
        if self._observers:
            folder.mkdir(parents=True, exist_ok=True)
        places: dict[str, str] = {}

        def begin(tracker: Tracker) -> None:
            places[tracker.name] = tracker.start(folder, name)

        for observer in self._await_all(begin):
            self._note(f"{observer.name}: {places[observer.name]}")

    def event(self, event: dict[str, Any]) -> None:
        """Pass one event on."""
        self._listener(event)
        for observer in list(self._observers):
            observer.hand_over(lambda tracker: tracker.event(event))
            if event["event"] != "progress":  # of which there are many
                self._wait_for(observer)
            self._drop_if_it_failed(observer)

    def finish(self, report: Report) -> None:
        """Hand the report, as ``report.json`` holds it, to every tracker."""
        for observer in self._await_all(lambda tracker: tracker.finish(report)):
            observer.let_go()

    def _await_all(self, call: Call) -> list[Observer]:
        """Have every tracker make a call; those that did it in time. The others are dropped."""
        until = time.monotonic() + PATIENCE_SECONDS
        for observer in self._observers:
            observer.hand_over(call)
        for observer in list(self._observers):
            if not observer.wait(max(0.0, until - time.monotonic())):
                self._drop(observer, _SILENT)
            self._drop_if_it_failed(observer)
        return list(self._observers)

    def _wait_for(self, observer: Observer) -> None:
        """Wait until the tracker has made its calls, as long as the run has patience with it."""
        begun = time.monotonic()
        observer.wait(self._patience[observer.name])
        used = time.monotonic() - begun
        self._patience[observer.name] = max(0.0, self._patience[observer.name] - used)

    def _drop_if_it_failed(self, observer: Observer) -> None:
        if observer not in self._observers:
            return
        if observer.failure is not None:
            self._drop(observer, f"failed and is left out: {observer.failure}")
        elif observer.seconds_of_this_call() > PATIENCE_SECONDS:
            self._drop(observer, _SILENT)

    def _drop(self, observer: Observer, why: str) -> None:
        self._observers.remove(observer)
        observer.let_go()
        self._note(f"warning: tracker {observer.name} {why}")

    def _note(self, text: str) -> None:
        self._listener({"event": "note", "time": time.time(), "text": text})
