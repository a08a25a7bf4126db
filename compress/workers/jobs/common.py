"""The objects that a job names: its task and its source."""

from __future__ import annotations

from typing import Any

from compress.registry.plugins import Registry
from compress.source import Source
from compress.task import Task
from compress.workers.protocol import Chosen


def task_of(chosen: Chosen, registry: Registry) -> Task[Any]:
    """The task object."""
    cls = registry.tasks[chosen.name].cls
    return cls(cls.Options.model_validate(chosen.options, strict=False))


def source_of(chosen: Chosen, registry: Registry) -> Source[Any]:
    """The source object."""
    cls = registry.sources[chosen.name].cls
    return cls(cls.Options.model_validate(chosen.options, strict=False))
