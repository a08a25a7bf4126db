"""Looking up the names in a recipe among the installed plugins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from compress.errors import suggestion
from compress.planning.validate import resolve_paths, validated
from compress.pretrained.families import Families
from compress.recipes.places import KeyPath, Mistakes, Section
from compress.recipes.recipe import Recipe
from compress.registry.kinds import Kind
from compress.registry.plugins import Registered, Registry
from compress.source import Source
from compress.stage import Stage
from compress.task import Task

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Resolver:
    """Looks up names of one recipe in the registry, and collects the recipe's mistakes. It also
    carries what other checks ask: the recipe, the families of models, and how many machines run
    it."""

    recipe: Recipe
    registry: Registry
    families: Families
    mistakes: Mistakes
    machines: int = 1

    def wrong(self, path: KeyPath, message: str, hint: str = "", *, of_value: bool = True) -> None:
        """Add a mistake at the value that ``path`` leads to, or at its key."""
        self.mistakes.add(self.recipe.place(*path, of_value=of_value), message, hint)

    def stage(self, name: str, path: KeyPath) -> Registered[Stage[Any]] | None:
        """The stage of that name, for the key at ``path``; None with a mistake added."""
        entry = self.registry.stages.get(name)
        if entry is None:
            self._unknown("stages", name, path, of_value=False)
        return entry

    def task(self, name: str, path: KeyPath) -> Registered[Task[Any]] | None:
        """The task of that name or synonym; None with a mistake added."""
        entry = self.registry.task_named(name)
        if entry is None:
            self._unknown("tasks", name, path)
        return entry

    def source(self, name: str, path: KeyPath) -> Registered[Source[Any]] | None:
        """The source of that name; None with a mistake added."""
        entry = self.registry.sources.get(name)
        if entry is None:
            self._unknown("sources", name, path)
        return entry

    def _unknown(self, kind: Kind, name: str, path: KeyPath, *, of_value: bool = True) -> None:
        clash = self.registry.clashes.get((kind, name))
        if clash is not None:
            self.wrong(path, clash, of_value=of_value)
        else:
            message = f"there is no {kind[:-1]} {name!r}"
            self.wrong(path, message, self._hint_for_unknown(kind, name), of_value=of_value)

    def _hint_for_unknown(self, kind: Kind, name: str) -> str:
        """The hint for an unknown name: the members of a family, or the nearest name."""
        names = list(self.registry.of(kind))
        family = sorted(n for n in names if n.startswith(name + "."))
        if family:
            return f"{name!r} is a family; its members: {', '.join(family)}"
        if kind == "tasks":
            for entry in self.registry.tasks.values():
                names += entry.cls.synonyms
        return suggestion(name, names)

    def options(self, model: type[M], values: Section, path: KeyPath) -> M | None:
        """The validated options with absolute paths; None with mistakes added."""
        options = validated(model, values, path, self.recipe, self.mistakes)
        if options is None:
            return None
        return resolve_paths(options, path, self.recipe, self.mistakes)
