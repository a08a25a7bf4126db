"""The recipe: what a user wrote, with places, ``--set`` applied and its own structure checked; no
plugin is asked yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.errors import suggestion
from compress.recipes.document import Document, read_document
from compress.recipes.overrides import apply_override
from compress.recipes.paths import path_from
from compress.recipes.places import Mistakes, Place, Section
from compress.recipes.steps import StepText, read_steps

TOP_KEYS = (
    "task",
    "model",
    "data",
    "stages",
    "reference",
    "budget",
    "benchmark",
    "seed",
    "resources",
)


@dataclass(frozen=True)
class Recipe:
    """A recipe file with the overrides applied. ``folder`` is where its relative paths start."""

    document: Document
    folder: Path
    overrides: tuple[str, ...]
    steps: Sequence[StepText]
    mistakes: Mistakes

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return Path(self.document.file).stem

    @property
    def text(self) -> str:
        """The file's text, without the overrides."""
        return self.document.text

    @property
    def top(self) -> Section:
        """The values of the top keys."""
        top: Section = self.document.value
        return top

    def place(self, *path: str | int, of_value: bool = False) -> Place:
        """The place of a path of keys."""
        return self.document.place(path, of_value=of_value)

    def path_of(self, value: str, place: Place) -> Path:
        """The path that the ``value`` at ``place`` names. A relative one starts at the recipe's
        folder, or at the working directory in an override.

        Raises ValueError for a value that cannot be a path."""
        return path_from(value, Path.cwd() if place.is_override else self.folder)


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a file with ``a.b=c`` overrides applied.

    Its ``mistakes`` are about its structure; the plan adds more, so that a user sees all at once.
    Raises UsageError where the file cannot be read as YAML or an override does not fit."""
    document = read_document(path)
    mistakes = Mistakes()
    if not isinstance(document.value, dict):
        hint = "it starts with task: and stages:"
        mistakes.add(document.place(()), "a recipe is a mapping", hint)
        mistakes.raise_all()
    for override in overrides:
        apply_override(document, override, mistakes)
    mistakes.raise_all()
    steps = read_steps(document, mistakes)
    for key in document.value:
        if key not in TOP_KEYS:
            place = document.place((key,))
            mistakes.add(place, f"unknown key {key!r}", _key_hint(key, place, steps))
    return Recipe(document, path.resolve().parent, tuple(overrides), steps, mistakes)


def _key_hint(key: str, place: Place, steps: Sequence[StepText]) -> str:
    """What a key that a recipe does not have may mean. In an override it may be a step's name, of
    which ``--set`` asks with ``stages.`` before it."""
    names = [step.name for step in steps]
    if place.is_override and any(name.partition(".")[0] == key for name in names):
        return f"an option of a step is set by --set stages.{key}..."
    return suggestion(key, TOP_KEYS)
