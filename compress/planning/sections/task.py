"""Reading a ``task`` section."""

from __future__ import annotations

from typing import Any

from compress.planning.resolver import Resolver
from compress.planning.types import TaskChoice
from compress.recipes.places import KeyPath
from compress.recipes.steps import StepText

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


def tasks_of_recipe(resolver: Resolver, first: StepText | None = None) -> tuple[str, ...]:
    """Names of the installed tasks that a recipe names: that of the step ``first``, the recipe's
    own, and those of the other steps, in this order. No mistake is added."""
    steps = [step.keys.get("task") for step in resolver.recipe.steps]
    own = [] if first is None else [first.keys.get("task")]
    named = [_word(value) for value in (*own, resolver.recipe.top.get("task"), *steps)]
    entries = [resolver.registry.task_named(word) for word in named]
    return tuple(dict.fromkeys(entry.name for entry in entries if entry is not None))


def _word(value: Any) -> str:
    """The name in a ``task`` section; empty if there is none."""
    if isinstance(value, dict):
        value = next(iter(value), "")
    return value if isinstance(value, str) else ""
