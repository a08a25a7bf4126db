"""The steps of a recipe as they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from compress.errors import did_you_mean
from compress.recipes.document import Document
from compress.recipes.places import KeyPath, Mistakes, Section

STEP_KEYS = ("name", "from", "task", "data", "budget", "seed", "resources")
_EXAMPLE = "- finetune: {epochs: 3}"


@dataclass(frozen=True)
class StepText:
    """A step as written: the stage's name, its options, the reserved keys that are given, and its
    path in the document."""

    stage: str
    options: Section
    keys: Section
    path: KeyPath

    @property
    def name(self) -> str:
        """The step's name: the value of ``name:``, or the stage's name."""
        return str(self.keys.get("name", self.stage))

    @property
    def stage_path(self) -> KeyPath:
        """The path of the stage's options."""
        return (*self.path, self.stage)


def read_steps(document: Document, mistakes: Mistakes) -> list[StepText]:
    """The steps under ``stages``; what is wrong with one is added to the mistakes."""
    stages = document.value.get("stages")
    if not isinstance(stages, list) or not stages:
        message = "'stages' must be a list with at least one stage"
        mistakes.add(document.place(("stages",)), message, _EXAMPLE)
        return []
    steps = [_read_step(document, item, i, mistakes) for i, item in enumerate(stages)]
    return [step for step in steps if step is not None]


def _read_step(document: Document, item: Any, index: int, mistakes: Mistakes) -> StepText | None:
    path: KeyPath = ("stages", index)
    if isinstance(item, str):
        return StepText(item, {}, {}, path)
    if not isinstance(item, dict):
        message = "a step is a mapping from a stage to its options"
        mistakes.add(document.place(path), message, _EXAMPLE)
        return None
    stage = _stage_of(document, item, path, mistakes)
    if stage is None:
        return None
    keys = {key: item[key] for key in STEP_KEYS if key in item}
    return StepText(stage, _options_of(document, item[stage], (*path, stage), mistakes), keys, path)


def _stage_of(document: Document, item: Section, path: KeyPath, mistakes: Mistakes) -> str | None:
    """The one key of a step that is no reserved key; None where there is none."""
    others = [key for key in item if key not in STEP_KEYS]
    if not others:
        mistakes.add(document.place(path), "the step names no stage", _EXAMPLE)
        return None
    stage = others[0]
    for extra in others[1:]:
        hint = did_you_mean(extra, STEP_KEYS) or "a step has one stage"
        message = f"unknown key {extra!r} beside {stage!r}"
        mistakes.add(document.place((*path, extra)), message, hint)
    return stage


def _options_of(document: Document, value: Any, path: KeyPath, mistakes: Mistakes) -> Section:
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    stage = path[-1]
    message = f"the options of {stage!r} must be a mapping"
    mistakes.add(document.place(path, of_value=True), message, f"{stage}: {{option: value}}")
    return {}
