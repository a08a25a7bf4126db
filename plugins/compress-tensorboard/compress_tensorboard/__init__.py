"""The tracker ``tensorboard``: an event file in the run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from compress import hookimpl
from compress.tracker import Event, Report, Tracker


class TensorBoard(Tracker):
    """Values of training by optimizer step while it runs; measurements by step of the
    recipe at the end."""

    name: ClassVar[str] = "tensorboard"
    summary: ClassVar[str] = "Event files for TensorBoard in the run's folder"
    packages: ClassVar[tuple[str, ...]] = ("tensorboard",)
    extra: ClassVar[str | None] = "tensorboard"

    def start(self, folder: Path, name: str) -> str:
        """The command that shows the log."""
        from compress_tensorboard.events import EventFile

        place = folder / "tensorboard"
        self._file = EventFile(place)
        self._last: dict[str, float] = {}
        return f"tensorboard --logdir {place}"

    def event(self, event: Event) -> None:
        """Write a point for each new value of training. Events repeat a value until there
        is another."""
        if event["event"] != "progress":
            return
        for key, value in event["values"].items():
            tag = f"{event['step']}/{key}"
            if self._last.get(tag) != value:
                self._last[tag] = value
                self._file.scalar(tag, value, int(event["done"]), event["time"])

    def finish(self, report: Report) -> None:
        """Write every measurement that has a value, the recipe and a table."""
        from compress_tensorboard.summary import described, measured, table

        place = described(report)
        for tag, index, value in measured(report):
            self._file.scalar(tag, value, index, description=place)
        self._file.text("recipe", "    " + report["recipe"].replace("\n", "\n    "))
        self._file.text("measurements", table(report))
        self._file.close()


@hookimpl
def compress_trackers() -> list[type[Tracker]]:
    """The tracker of this plugin."""
    return [TensorBoard]
