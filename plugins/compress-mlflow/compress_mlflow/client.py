"""Write to MLflow through its client. The only global settings are variables that mlflow
reads when it is imported."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

# Telemetry: https://mlflow.org/docs/latest/community/usage-tracking.html
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# mlflow would try for minutes to reach a server that is away; a run must not wait that
# long.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
# Without this a newer mlflow refuses a store of files, the only local one of mlflow-skinny.
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")

import mlflow  # noqa: E402
from mlflow.entities import Metric, Param  # noqa: E402

from compress.options import flat  # noqa: E402
from compress.tracker import Report, reported_numbers  # noqa: E402

_SECONDS = 5.0
"""Values are gathered for this long and then sent in one request."""
_AT_ONCE = 100
"""Params or metrics of one request. MLflow accepts 100 params and 1,000 metrics."""
_LONGEST = 500
"""Characters of a param's value; older servers refuse longer ones."""
_FILES = ("report.json", "report.html", "recipe.yaml")
_STATES = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class Log:
    """One MLflow run, open until ``finish``. ``run`` is its id, ``uri`` the store's."""

    def __init__(self, folder: Path, name: str) -> None:
        self.uri = _uri(folder)
        self._folder = folder
        self._client = mlflow.MlflowClient(tracking_uri=self.uri)
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", name)
        existing = self._client.get_experiment_by_name(experiment)
        experiment_id = (
            existing.experiment_id if existing else self._client.create_experiment(experiment)
        )
        self.run: str = self._client.create_run(experiment_id, run_name=folder.name).info.run_id
        self._gathered: list[Metric] = []
        self._last: dict[str, float] = {}
        self._sent = time.monotonic()

    def value(self, name: str, value: float, step: int, at: float) -> None:
        """Gather a value of training unless it is the last one again. ``at`` is in seconds
        since 1970."""
        if self._last.get(name) != value:
            self._last[name] = value
            self._gathered.append(Metric(allowed(name), value, int(1000 * at), step))
        if time.monotonic() - self._sent > _SECONDS or len(self._gathered) >= _AT_ONCE:
            self.send()

    def send(self) -> None:
        """Send the gathered values."""
        metrics, self._gathered, self._sent = self._gathered, [], time.monotonic()
        for part in _parts(metrics):
            self._client.log_batch(self.run, metrics=part)

    def finish(self, report: Report) -> None:
        """Send the report's measurements, options and files, and end the run."""
        now = int(1000 * time.time())
        self._gathered += [Metric(allowed(n), value, now, 0) for n, value in measured(report)]
        self.send()
        params = [Param(allowed(key), str(value)[:_LONGEST]) for key, value in options(report)]
        for part in _parts(params):
            self._client.log_batch(self.run, params=part)
        for file in (self._folder / name for name in _FILES):
            if file.is_file():
                self._client.log_artifact(self.run, str(file))
        self._client.set_terminated(self.run, _STATES[report["state"]])


def measured(report: Report) -> Iterator[tuple[str, float]]:
    """(``STEP/NAME``, value) of every measurement that has a value.

    Comparisons with the reference are ``STEP/vs_reference/NAME``, those with it in its
    fastest float engine ``STEP/vs_fastest/NAME``. ``.low`` and ``.high`` after a name are
    the ends of its 95 % interval."""
    for number in reported_numbers(report):
        under = "" if number.side == "measured" else f"{number.side}/"
        for end, value in number.values().items():
            yield f"{number.step}/{under}{number.name}{end}", value


def options(report: Report) -> Iterator[tuple[str, Any]]:
    """(name, value) of the run's settings, then of every ``STEP.OPTION``; nested options
    are flattened."""
    yield "task", report["task"]["name"]
    for key in ("seed", "effort", "reference"):
        yield key, report[key]
    for step in report["steps"]:
        yield from flat({step["name"]: step["options"]}).items()


def allowed(name: str) -> str:
    """``name`` with ``_`` for each character that MLflow refuses in a name."""
    return re.sub(r"[^\w\-. /]", "_", name)


def _parts(items: list[Any]) -> list[list[Any]]:
    return [items[i : i + _AT_ONCE] for i in range(0, len(items), _AT_ONCE)]


def _uri(folder: Path) -> str:
    """The store: the user's, else mlflow's own default, which only the full mlflow can
    open, else a folder in the run's."""
    if mlflow.is_tracking_uri_set() or _full():
        return str(mlflow.get_tracking_uri())
    return (folder / "mlruns").resolve().as_uri()


def _full() -> bool:
    """Whether the full mlflow is installed, not mlflow-skinny alone."""
    try:
        distribution("mlflow")
    except PackageNotFoundError:
        return False
    return True
