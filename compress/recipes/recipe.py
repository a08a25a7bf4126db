"""The recipe: what a user wrote, with places, ``--set`` applied and its own structure checked; no
plugin is asked yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from compress.errors import Mistake, UsageError, suggestion
from compress.recipes.document import Document, Path_, parse_document, read_document

TOP_KEYS = ("task", "model", "data", "stages", "reference", "budget", "benchmark", "seed")
_SIGNS = ">|@`%*&"
"""With which no plain text of YAML starts."""
STEP_KEYS = ("name", "from", "task", "data", "budget", "seed")


@dataclass(frozen=True)
class StepText:
    """A step as written: the stage's name, its options, the reserved keys that are given, and its
    path in the document."""

    stage: str
    options: Mapping[str, Any]
    keys: Mapping[str, Any]
    path: Path_

    @property
    def name(self) -> str:
        """The step's name: what ``name:`` says, or the stage's."""
        return str(self.keys.get("name", self.stage))


@dataclass(frozen=True)
class Recipe:
    """A recipe file. ``folder`` is where its relative paths start."""

    document: Document
    folder: Path
    top: Mapping[str, Any]
    steps: Sequence[StepText] = field(default_factory=list)
    mistakes: Sequence[Mistake] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return Path(self.document.file).stem

    def place(self, *path: str | int, of_value: bool = False) -> str:
        """``file:line:column`` of a path of keys."""
        return self.document.place(path, of_value=of_value)


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a file with ``a.b=c`` overrides applied.

    Its ``mistakes`` are what is wrong with its structure; the plan adds its own, so that all are
    told at once. Raises UsageError where the file cannot be read as YAML or an override does not
    fit."""
    document = read_document(path)
    mistakes: list[Mistake] = []
    if not isinstance(document.value, dict):
        raise UsageError(
            [
                Mistake(
                    document.place(()), "a recipe is a mapping", "it starts with task: and stages:"
                )
            ]
        )
    for override in overrides:
        _apply_override(document, override, mistakes)
    if mistakes:
        raise UsageError(mistakes)
    for key in document.value:
        if key not in TOP_KEYS:
            mistakes.append(
                Mistake(document.place((key,)), f"unknown key {key!r}", suggestion(key, TOP_KEYS))
            )
    steps = _steps(document, mistakes)
    return Recipe(document, path.resolve().parent, document.value, steps, mistakes)


def _steps(document: Document, mistakes: list[Mistake]) -> list[StepText]:
    stages = document.value.get("stages")
    if not isinstance(stages, list) or not stages:
        where = document.place(("stages",))
        mistakes.append(
            Mistake(
                where, "'stages' must be a list with at least one stage", "- finetune: {epochs: 3}"
            )
        )
        return []
    found = [_step(document, item, ("stages", i), mistakes) for i, item in enumerate(stages)]
    return [step for step in found if step is not None]


def _step(document: Document, item: Any, path: Path_, mistakes: list[Mistake]) -> StepText | None:
    if isinstance(item, str):
        item = {item: {}}
    if not isinstance(item, dict):
        mistakes.append(
            Mistake(
                document.place(path),
                "a step is a mapping from a stage to its options",
                "- finetune: {epochs: 3}",
            )
        )
        return None
    others = [key for key in item if key not in STEP_KEYS]
    if not others:
        mistakes.append(
            Mistake(document.place(path), "the step names no stage", "- finetune: {epochs: 3}")
        )
        return None
    for extra in others[1:]:
        near = suggestion(extra, STEP_KEYS)
        hint = near if near.startswith("did you mean") else "a step has one stage"
        mistakes.append(
            Mistake(
                document.place((*path, extra)), f"unknown key {extra!r} beside {others[0]!r}", hint
            )
        )
    stage = others[0]
    options = item[stage] if item[stage] is not None else {}
    if not isinstance(options, dict):
        mistakes.append(
            Mistake(
                document.place((*path, stage), of_value=True),
                f"the options of {stage!r} must be a mapping",
                f"{stage}: {{option: value}}",
            )
        )
        options = {}
    return StepText(stage, options, {key: item[key] for key in STEP_KEYS if key in item}, path)


def _apply_override(document: Document, override: str, mistakes: list[Mistake]) -> None:
    """Set ``a.b=c`` in the document's value; a step is addressed by its name or number under
    ``stages``."""
    label = f"--set {override}"
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        mistakes.append(
            Mistake(label, "is not of the form key=value", "--set data.train=train.csv")
        )
        return
    try:
        value = parse_document(text, label).value if text.strip() else None
    except UsageError as error:
        quoted = f"""a text that starts with {text.strip()[0]} is quoted: --set '{dotted}="{text.strip()}"'"""
        mistakes.extend(
            replace(m, hint=quoted) if text.strip()[0] in _SIGNS else m for m in error.mistakes
        )
        return
    parent: Any = document.value
    path: Path_ = ()
    keys = dotted.split(".")
    if keys[0] == "stages" and len(keys) > 1:
        parent, path, keys = _find_step(document, keys[1:], label, mistakes)
        if parent is None:
            return
    for key in keys[:-1]:
        path = (*path, key)
        if isinstance(parent, dict) and parent.get(key) is None:
            parent[key] = {}
            _move_places(document, path, label)
        parent = parent[key] if isinstance(parent, dict) else None
    if not isinstance(parent, dict) or not keys:
        mistakes.append(
            Mistake(
                label,
                f"{dotted!r} does not lead to a key of a mapping",
                "--set data.train=train.csv, --set stages.distill.epochs=3",
            )
        )
        return
    parent[keys[-1]] = value
    _move_places(document, (*path, keys[-1]), label)


def _find_step(
    document: Document, keys: list[str], label: str, mistakes: list[Mistake]
) -> tuple[dict[str, Any] | None, Path_, list[str]]:
    """The mapping in which the override's last keys are set: a step's own or its stage's
    options."""
    items = document.value.get("stages")
    items = items if isinstance(items, list) else []
    steps = [
        s for s in (_step(document, item, ("stages", i), []) for i, item in enumerate(items)) if s
    ]
    # Names may hold dots: the longest that fits is meant.
    matches = [
        (len(words), step)
        for step in steps
        for words in (step.name.split("."), [str(step.path[1])])
        if keys[: len(words)] == words
    ]
    if matches:
        length, step = max(matches, key=lambda match: match[0])
        return _place_in_step(items, step, keys[length:])
    name = ".".join(keys)
    mistakes.append(
        Mistake(label, f"no step is named by {name!r}", suggestion(name, [s.name for s in steps]))
    )
    return None, (), keys


def _place_in_step(
    items: list[Any], step: StepText, keys: list[str]
) -> tuple[dict[str, Any], Path_, list[str]]:
    """Reserved keys lead to the step, others to its options; the stage's own name may stand before
    these."""
    index, words = int(step.path[1]), step.stage.split(".")
    if isinstance(items[index], str):
        items[index] = {step.stage: {}}
    item = items[index]
    if keys and keys[0] in STEP_KEYS:
        return item, step.path, keys
    if not isinstance(item[step.stage], dict):
        item[step.stage] = {}
    return (
        item[step.stage],
        (*step.path, step.stage),
        keys[len(words) :] if keys[: len(words)] == words else keys,
    )


def _move_places(document: Document, path: Path_, label: str) -> None:
    for table in (document.places, document.value_places):
        for old in [p for p in table if p[: len(path)] == path]:
            del table[old]
        table[path] = label
