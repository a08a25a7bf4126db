"""Answering texts with an artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.artifact import Artifact
from compress.engine import Placement, Session
from compress.errors import UsageError
from compress.jobs.probing import engine_for
from compress.machine import threads
from compress.plugins import Registry
from compress.predict import predict
from compress.processor import TextProcessor
from compress.task import Task


@dataclass(frozen=True)
class Predictor:
    """A loaded model; calling it with texts gives one answer for each, in order."""

    artifact: Artifact
    task: Task[Any]
    processor: TextProcessor
    session: Session

    def __call__(self, texts: Sequence[str], batch_size: int = 32) -> list[dict[str, Any]]:
        """The answers with label names, as the task presents them."""
        rows = self.task.request(texts)
        features = self.task.features(rows, self.processor)
        answers = predict(self.session, self.task, self.processor, features, batch_size)
        labels = self.artifact.manifest.labels
        return [self.task.present(answer, row, labels) for answer, row in zip(answers, rows, strict=True)]


def open_predictor(folder: Path, registry: Registry) -> Predictor:
    """A predictor for a model folder with a manifest. Raises UsageError for one without a task."""
    artifact = Artifact.open(folder)
    entry = registry.tasks.get(artifact.traits.task or "")
    if entry is None:
        raise UsageError(f"{folder} serves no task that is installed ({artifact.traits.task or 'it has no head'})")
    options = entry.cls.Options.model_validate(dict(artifact.manifest.task_options), strict=False)
    task = entry.cls(options)
    engine = engine_for(registry, artifact.traits.format)
    session = engine.open(artifact, Placement(engine.devices()[0], threads()), task)
    return Predictor(artifact, task, task.processor(folder), session)
