"""The trackers of a run: they are opened before it begins, get every event, and are dropped when
they fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from compress.errors import EnvironmentFailure, Mistake, UsageError, name_and_first_line, suggestion
from compress.registry.plugins import Registry
from compress.tracker import Listener, Report, Tracker


def open_trackers(names: Iterable[str], registry: Registry) -> list[Tracker]:
    """A tracker for each name, once. Raises UsageError for an unknown one, EnvironmentFailure where
    a package is missing."""
    return [_open_tracker(name, registry) for name in dict.fromkeys(names)]


def _open_tracker(name: str, registry: Registry) -> Tracker:
    entry = registry.trackers.get(name)
    if entry is None:
        hint = registry.clashes.get(("trackers", name)) or suggestion(name, registry.trackers)
        raise UsageError([Mistake("", f"there is no tracker {name!r}", hint)])
    missing = next((package for package in entry.cls.packages if not _is_installed(package)), None)
    if missing:
        extra = f": install compress-toolkit[{entry.cls.extra}]" if entry.cls.extra else ""
        raise EnvironmentFailure(f"tracker {name} needs the package {missing!r}{extra}")
    tracker: Tracker = entry.cls()
    return tracker


def _is_installed(package: str) -> bool:
    spec = find_spec(package)
    # A folder of that name, such as one of logs, has no origin.
    return spec is not None and spec.origin is not None


class Tracking:
    """Passes a run's events to its listener, then to its trackers, and drops a tracker that
    fails."""

    def __init__(self, trackers: Sequence[Tracker], listener: Listener) -> None:
        self._trackers = list(trackers)
        self._listener = listener

    def start(self, folder: Path, name: str) -> None:
        """Start every tracker, with a note on where its log can be seen."""
        if self._trackers:
            folder.mkdir(parents=True, exist_ok=True)
        self._each(lambda tracker: self._note(f"{tracker.name}: {tracker.start(folder, name)}"))

    def event(self, event: dict[str, Any]) -> None:
        """Pass one event on."""
        self._listener(event)
        self._each(lambda tracker: tracker.event(event))

    def finish(self, report: Report) -> None:
        """Hand the report, as ``report.json`` holds it, to every tracker."""
        self._each(lambda tracker: tracker.finish(report))

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for tracker in list(self._trackers):
            try:
                call(tracker)
            except Exception as error:
                # A tracker is foreign code that may ask a server: whatever fails, the run goes on.
                self._trackers.remove(tracker)
                reason = name_and_first_line(error)
                self._note(f"warning: tracker {tracker.name} failed and is left out: {reason}")

    def _note(self, text: str) -> None:
        self._listener({"event": "note", "time": time.time(), "text": text})
