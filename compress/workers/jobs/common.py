"""What several jobs read from their job file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compress.registry.plugins import Registry
from compress.source import Source
from compress.store.prepared import Prepared
from compress.task import Task


def task_of(job: dict[str, Any], registry: Registry) -> Task[Any]:
    """The job's task object."""
    cls = registry.tasks[job["task"]["name"]].cls
    return cls(cls.Options.model_validate(job["task"]["options"], strict=False))


def source_of(job: dict[str, Any], registry: Registry) -> Source[Any]:
    """The job's source object."""
    cls = registry.sources[job["source"]["name"]].cls
    return cls(cls.Options.model_validate(job["source"]["options"], strict=False))


def data_of(job: dict[str, Any]) -> Prepared | None:
    """The job's prepared data; None where the step has none."""
    data = job.get("data")
    return Prepared(Path(data["folder"]), data["digest"]) if data else None
