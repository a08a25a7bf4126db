"""The tracker ``lines`` writes what it receives into the file ``lines`` of the run's folder.

It fails where the environment variable ``FAIL_AT`` says: at ``start``, at an event of that name, or
at ``finish``. The tracker ``absent`` needs a package that nobody has."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from compress import hookimpl
from compress.tracker import Event, Report, Tracker


class Lines(Tracker):
    """One line of JSON for the start, for each event and for the report."""

    name: ClassVar[str] = "lines"
    summary: ClassVar[str] = "A file of lines."

    def start(self, folder: Path, name: str) -> str:
        """Write the run's name."""
        fail(at="start")
        self._folder = folder
        self._write({"started": name})
        return f"lines in {folder}"

    def event(self, event: Event) -> None:
        """Write the event."""
        fail(at=event["event"])
        self._write(event)

    def finish(self, report: Report) -> None:
        """Write the report."""
        fail(at="finish")
        self._write({"finished": report})

    def _write(self, values: Mapping[str, Any]) -> None:
        with (self._folder / "lines").open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")


class Absent(Lines):
    """A tracker whose package is not installed."""

    name: ClassVar[str] = "absent"
    packages: ClassVar[tuple[str, ...]] = ("a_package_that_is_not_there",)
    extra: ClassVar[str | None] = "absent"


def fail(at: str) -> None:
    """Raise an error of two lines where the environment asks for one at this point."""
    if os.environ.get("FAIL_AT") == at:
        raise ConnectionError(f"no {at}\nand more")


@hookimpl
def compress_trackers() -> list[type[Tracker]]:
    """The trackers ``lines`` and ``absent``."""
    return [Lines, Absent]
