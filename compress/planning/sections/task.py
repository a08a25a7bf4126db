"""Reading a ``task`` section."""

from __future__ import annotations

from typing import Any

from compress.planning.resolver import Resolver
from compress.planning.types import TaskChoice
from compress.recipes.places import KeyPath

_EXAMPLE = "task: text-classification, or task: {text-classification: {max_length: 64}}"


def read_task(value: Any, path: KeyPath, resolver: Resolver) -> TaskChoice | None:
    """The task that ``value`` describes, a name or a mapping from the name to options; None with a
    mistake added."""
    name: str
    options: Any
    if isinstance(value, str):
        name, options, inner = value, {}, path
    elif isinstance(value, dict) and len(value) == 1:
        name, options = next(iter(value.items()))
        inner = (*path, name)
    else:
        message = "a task is a name, or a mapping from its name to its options"
        resolver.wrong(path, message, _EXAMPLE)
        return None
    entry = resolver.task(name, path)
    if entry is None:
        return None
    if not isinstance(options or {}, dict):
        resolver.wrong(inner, f"the options of {name!r} must be a mapping")
        return None
    made = resolver.options(entry.cls.Options, options or {}, inner)
    return TaskChoice(entry, made) if made else None
