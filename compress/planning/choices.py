"""Resolving the words of a recipe that stand for a task, a source, or a model from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compress.errors import CompressError, Mistake, UsageError, suggestion
from compress.planning.paths import path_from
from compress.planning.types import DataChoice, Input, TaskChoice
from compress.planning.validate import resolve_paths, validated
from compress.pretrained.families import Families
from compress.pretrained.modelfolder import folder_traits, is_hub_id
from compress.recipes.recipe import Recipe
from compress.registry.plugins import Kind, Registered, Registry
from compress.source import FileOptions

_Path = tuple[str | int, ...]


@dataclass
class Resolver:
    """Looks words up in a registry and collects the mistakes of one recipe."""

    recipe: Recipe
    registry: Registry
    families: Families
    mistakes: list[Mistake] = field(default_factory=list)

    def wrong(self, path: _Path, message: str, hint: str = "", *, of_value: bool = True) -> None:
        """Add a mistake at ``path``."""
        self.mistakes.append(Mistake(self.recipe.place(*path, of_value=of_value), message, hint))

    def registered(
        self, kind: Kind, name: str, path: _Path, *, of_value: bool = True
    ) -> Registered[Any] | None:
        """The registered thing, or None with the mistake added."""
        entry = (
            self.registry.task_named(name) if kind == "tasks" else self.registry.of(kind).get(name)
        )
        if entry is None:
            clash = self.registry.clashes.get((kind, name))
            self.wrong(
                path,
                clash or f"there is no {kind[:-1]} {name!r}",
                "" if clash else self._known(kind, name),
                of_value=of_value,
            )
        return entry

    def _known(self, kind: Kind, name: str) -> str:
        names = list(self.registry.of(kind))
        family = [n for n in names if n.startswith(name + ".")]
        if family:
            return f"{name!r} is a family; its members: {', '.join(sorted(family))}"
        if kind == "tasks":
            names += [s for entry in self.registry.tasks.values() for s in entry.cls.synonyms]
        return suggestion(name, names)

    def task(self, value: Any, path: _Path) -> TaskChoice | None:
        """The task that ``value`` (a name, or a mapping from it to options) stands for."""
        if isinstance(value, str):
            name, inner = value, path
            options: Any = {}
        elif isinstance(value, dict) and len(value) == 1:
            name, options = next(iter(value.items()))
            options, inner = options or {}, (*path, name)
        else:
            self.wrong(
                path,
                "a task is a name, or a mapping from its name to its options",
                "task: text-classification, or task: {text-classification: {max_length: 64}}",
            )
            return None
        entry = self.registered("tasks", name, path)
        if entry is None:
            return None
        if not isinstance(options, dict):
            self.wrong(inner, f"the options of {name!r} must be a mapping")
            return None
        made = validated(entry.cls.Options, options, self.recipe.place, inner, self.mistakes)
        return TaskChoice(entry, made) if made else None

    def data(self, value: Any, path: _Path, task: TaskChoice | None) -> DataChoice | None:
        """The source that a ``data`` section describes, its columns checked against the task's."""
        if not isinstance(value, dict):
            self.wrong(path, "data must be a mapping", "data: {train: train.csv, test: test.csv}")
            return None
        name = self._source_name(value, path)
        entry = (
            self.registered("sources", name, (*path, "source") if "source" in value else path)
            if name
            else None
        )
        if entry is None:
            return None
        options = {k: v for k, v in value.items() if k != "source"}
        before = len(self.mistakes)
        made = validated(entry.cls.Options, options, self.recipe.place, path, self.mistakes)
        if made is None:
            return None
        made = resolve_paths(made, self.recipe.place, path, self.recipe.folder, self.mistakes)
        selects = entry.cls.selects
        place = self.recipe.place(*path, *([selects] if selects in value else []), of_value=True)
        choice = DataChoice(entry, made, place)
        if len(self.mistakes) == before and task is not None:
            self.check_columns(choice, task, path)
        return choice

    def _source_name(self, value: Mapping[str, Any], path: _Path) -> str | None:
        if isinstance(value.get("source"), str):
            return str(value["source"])
        if "source" in value:
            self.wrong(
                (*path, "source"),
                f"source: got {value['source']!r}: expected a name",
                f"one of {', '.join(sorted(self.registry.sources))}",
            )
            return None
        for entry in self.registry.sources.values():
            if entry.cls.selects and entry.cls.selects in value:
                return entry.name
        files = [
            v for k, v in value.items() if k in FileOptions.model_fields and isinstance(v, str)
        ]
        for entry in self.registry.sources.values():
            if any(file.endswith(suffix) for file in files for suffix in entry.cls.suffixes):
                return entry.name
        self.wrong(
            path,
            "data does not say what kind of source it is",
            f"give `source:`, one of {', '.join(sorted(self.registry.sources))}",
        )
        return None

    def check_columns(self, choice: DataChoice, task: TaskChoice, path: _Path) -> None:
        mapping = choice.options.columns
        known = [column.name for column in task.entry.cls.columns]
        for name in mapping:
            if name not in known:
                self.wrong(
                    (*path, "columns", name),
                    f"the task {task.name!r} has no column {name!r}",
                    suggestion(name, known),
                    of_value=False,
                )
        try:
            found = choice.make().columns()
        except UsageError as error:
            self.mistakes.extend(error.placed(choice.place).mistakes)
            return
        except CompressError as error:
            self.wrong(path, str(error), of_value=False)
            return
        for split, names in found.items():
            for column in task.entry.cls.columns:
                actual = mapping.get(column.name, column.name)
                if actual not in names and (column.required or column.name in mapping):
                    where = (
                        (*path, "columns", column.name)
                        if column.name in mapping
                        else (*path, split)
                    )
                    self.wrong(
                        where,
                        f"the {split} split has no column {actual!r} for the task's "
                        f"{column.name!r}",
                        suggestion(actual, names)
                        or "map it with columns: {" + column.name + ": ...}",
                    )

    def is_folder(self, value: str, path: _Path) -> bool:
        """Whether the word at ``path`` names a folder."""
        try:
            return self._path(value, path).is_dir()
        except ValueError:
            return False

    def _path(self, value: str, path: _Path) -> Path:
        """The word at ``path`` as one: relative to the recipe's folder, what ``--set`` gives to the
        working directory."""
        where = self.recipe.place(*path, of_value=True)
        return path_from(value, Path.cwd() if where.startswith("--set") else self.recipe.folder)

    def outside_model(self, value: str, name: str, path: _Path) -> Input | None:
        """The folder or hub model that ``value`` names."""
        try:
            folder = self._path(value, path)
        except ValueError as error:
            self.wrong(path, str(error), "a hub id, or a folder")
            return None
        if folder.is_dir():
            return self._folder_model(folder.resolve(), name, path)
        if not is_hub_id(value):
            self.wrong(
                path, f"there is no model folder {value!r}", f"looked in {folder.parent.resolve()}"
            )
            return None
        return Input(name, value, True, None, self.recipe.place(*path, of_value=True))

    def _folder_model(self, folder: Path, name: str, path: _Path) -> Input | None:
        try:
            traits = folder_traits(folder, self.registry)
        except CompressError as error:
            self.wrong(path, str(error))
            return None
        return Input(name, str(folder), False, traits, self.recipe.place(*path, of_value=True))
