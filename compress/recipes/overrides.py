"""Applying ``--set a.b=c`` to a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compress.errors import UsageError, suggestion
from compress.recipes.document import Document, parse_document
from compress.recipes.places import KeyPath, Mistakes, Place
from compress.recipes.steps import STEP_KEYS, StepText, read_steps

_SIGNS = ">|@`%*&"
"""No plain text of YAML starts with one of these."""
_EXAMPLES = "--set data.train=train.csv, --set stages.distill.epochs=3"


@dataclass(frozen=True)
class _Target:
    """A value of the document, its path, and the keys that lead on from there."""

    value: Any
    path: KeyPath
    keys: tuple[str, ...]


def apply_override(document: Document, override: str, mistakes: Mistakes) -> None:
    """Set the value that ``a.b=c`` addresses; a step is addressed under ``stages`` by its name or
    its number.

    An override that does not fit is added to the mistakes."""
    place = Place(f"--set {override}", is_override=True)
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        mistakes.add(place, "is not of the form key=value", "--set data.train=train.csv")
        return
    try:
        value = parse_document(text, place.source).value if text.strip() else None
    except UsageError as error:
        _add_unreadable(error, dotted, text.strip(), place, mistakes)
        return
    start = _start(document, tuple(dotted.split(".")), place, mistakes)
    if start is None:
        return
    target = _parent_of_last_key(document, start, place)
    if target is None:
        message = f"{dotted!r} does not lead to a key of a mapping"
        mistakes.add(place, message, _EXAMPLES)
        return
    (key,) = target.keys
    target.value[key] = value
    document.set_place((*target.path, key), place)


def _add_unreadable(
    error: UsageError, dotted: str, text: str, place: Place, mistakes: Mistakes
) -> None:
    """Add the mistakes of a value that is not YAML, with the remedy where quotes are missing."""
    if text[0] not in _SIGNS:
        mistakes.add_all(error.mistakes, place)
        return
    hint = f"quote a text that starts with {text[0]}: --set '{dotted}=\"{text}\"'"
    for mistake in error.mistakes:
        mistakes.add(Place(mistake.where, is_override=True), mistake.message, hint)


def _start(
    document: Document, keys: tuple[str, ...], place: Place, mistakes: Mistakes
) -> _Target | None:
    """Where the keys start: at the document, or at a step; None where no step has the name."""
    if keys[0] != "stages" or len(keys) == 1:
        return _Target(document.value, (), keys)
    steps = read_steps(document, Mistakes())
    match = _longest_match(steps, keys[1:])
    if match is not None:
        step, words = match
        return _start_in_step(document, step, keys[1 + words :])
    name = ".".join(keys[1:])
    hint = suggestion(name, [step.name for step in steps])
    mistakes.add(place, f"no step is named by {name!r}", hint)
    return None


def _longest_match(steps: Sequence[StepText], keys: tuple[str, ...]) -> tuple[StepText, int] | None:
    """The step whose name or number the keys start with, and how many keys are part of that name.

    A name may hold dots, so several steps may fit. The longest name wins, then the first step."""
    matches = []
    for step in steps:
        for words in (tuple(step.name.split(".")), (str(step.path[1]),)):
            if keys[: len(words)] == words:
                matches.append((step, len(words)))
    return max(matches, key=lambda match: match[1], default=None)


def _start_in_step(document: Document, step: StepText, keys: tuple[str, ...]) -> _Target:
    """Reserved keys start at the step, others at its options. Before an option the stage's own name
    may be written: ``stages.teacher.finetune.epochs``."""
    items, index = document.value["stages"], step.path[1]
    if isinstance(items[index], str):
        items[index] = {step.stage: {}}
    item = items[index]
    if keys and keys[0] in STEP_KEYS:
        return _Target(item, step.path, keys)
    if not isinstance(item[step.stage], dict):
        item[step.stage] = {}
    words = tuple(step.stage.split("."))
    if keys[: len(words)] == words:
        keys = keys[len(words) :]
    return _Target(item[step.stage], step.stage_path, keys)


def _parent_of_last_key(document: Document, start: _Target, place: Place) -> _Target | None:
    """The mapping that holds the last key; mappings that are missing on the way are made, and a
    number leads to an item of a list. None if the keys lead through another value."""
    value, path = start.value, start.path
    for key in start.keys[:-1]:
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            path, value = (*path, int(key)), value[int(key)]
            continue
        if not isinstance(value, dict):
            return None
        path = (*path, key)
        if value.get(key) is None:
            value[key] = {}
            document.set_place(path, place)
        value = value[key]
    if not isinstance(value, dict) or not start.keys:
        return None
    return _Target(value, path, start.keys[-1:])
