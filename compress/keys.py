"""What a step's product depends on: the ingredients of its key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compress.machine import versions
from compress.planning import DataChoice, Step, TaskChoice


def data_ingredients(data: DataChoice, task: TaskChoice) -> dict[str, Any]:
    """What prepared data depend on: the source with the identity of its content, and the task."""
    return {"kind": "data", "source": data.as_dict(), "source_plugin": data.entry.origin,
            "identity": dict(data.make().identity()), "task": task.as_dict(), "task_plugin": task.entry.origin}


def step_ingredients(step: Step, parent: str | None, references: Mapping[str, str], data: str | None,
                     fresh: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a step's artifact depends on. ``parent``, ``references`` and ``data`` are digests of content; ``fresh`` is the
    configuration that a stage without input starts from."""
    libraries = versions(("compress-toolkit", *step.entry.cls.libraries))
    return {"kind": "artifact", "stage": step.entry.name, "plugin": step.entry.origin,
            "options": _without(step.options.model_dump(mode="json"), references), "input": parent,
            "references": dict(references), "data": data, "fresh": dict(fresh) if fresh and parent is None else None,
            "seed": step.seed, "task": step.task.as_dict(), "task_plugin": step.task.entry.origin, "libraries": libraries}


def _without(options: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Options less those that name artifacts: the artifact's digest stands for the name."""
    return {key: value for key, value in options.items() if key not in names}
