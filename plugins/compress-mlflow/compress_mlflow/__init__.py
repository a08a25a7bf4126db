"""The tracker ``mlflow``: an MLflow run for each run of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from compress import hookimpl
from compress.tracker import Event, Report, Tracker


class MLflow(Tracker):
    """Values of training while it runs; options, measurements and the report at the end."""

    name: ClassVar[str] = "mlflow"
    summary: ClassVar[str] = "A run in MLflow, where MLFLOW_TRACKING_URI says"
    packages: ClassVar[tuple[str, ...]] = ("mlflow",)
    extra: ClassVar[str | None] = "mlflow"

    def start(self, folder: Path, name: str) -> str:
        """The run's id and its store."""
        from compress_mlflow.client import Log

        self._log = Log(folder, name)
        return f"run {self._log.run} in {self._log.uri}"

    def event(self, event: Event) -> None:
        """Gather each new value of training; the end of a step sends them."""
        if event["event"] == "progress":
            for key, value in event["values"].items():
                self._log.value(f"{event['step']}/{key}", value, int(event["done"]), event["time"])
        if event["event"] == "step_finished":
            self._log.send()

    def finish(self, report: Report) -> None:
        """Write options, measurements, files and how the run ended."""
        self._log.finish(report)


@hookimpl
def compress_trackers() -> list[type[Tracker]]:
    """The tracker of this plugin."""
    return [MLflow]
