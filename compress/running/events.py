"""The events of a run: what the user, the trackers and ``events.jsonl`` get."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from compress.store.runfolder import RunFolder
from compress.tracker import Listener

PHASE = "phase"
"""The event of a part of the work that is no step: ``text`` names it. ``seconds`` is None when it
begins, and what it took when it ends."""


@dataclass(frozen=True)
class Events:
    """Records the events of a run in ``events.jsonl`` and passes them to a listener."""

    folder: RunFolder
    listener: Listener

    def emit(self, event: str, **values: Any) -> None:
        """Record an event and pass it on. Progress and phases are passed on, but not recorded."""
        message = _message(event, values)
        if event not in ("progress", PHASE):
            self.folder.event(message)
        self.listener(message)

    def note(self, text: str) -> None:
        """Emit an event that shows the user one line."""
        self.emit("note", text=text)

    def pass_on(self, event: str, **values: Any) -> None:
        """Pass an event on without recording it: the folder is not held."""
        self.listener(_message(event, values))


def _message(event: str, values: dict[str, Any]) -> dict[str, Any]:
    return {"event": event, "time": time.time(), **values}
