"""Reading a ``data`` section: which source it describes, and whether the source has the columns
that the task reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compress.errors import CompressError, UsageError, suggestion
from compress.planning.resolver import Resolver
from compress.planning.types import DataChoice, TaskChoice
from compress.recipes.places import KeyPath, Section
from compress.registry.plugins import Registered
from compress.source import SPLITS, FileOptions, Source
from compress.task import Column


def read_data(
    value: Any, path: KeyPath, task: TaskChoice | None, resolver: Resolver
) -> DataChoice | None:
    """The source that ``value`` describes, its columns checked against the task's; None with a
    mistake added."""
    if not isinstance(value, dict):
        example = "data: {train: train.csv, test: test.csv}"
        resolver.wrong(path, "data must be a mapping", example)
        return None
    entry = _source(value, path, resolver)
    if entry is None:
        return None
    before = len(resolver.mistakes)
    values = {key: given for key, given in value.items() if key != "source"}
    options = resolver.options(entry.cls.Options, values, path)
    if options is None:
        return None
    # A message about the data stands at the option that names them, such as ``hub: NAME``.
    selects = entry.cls.selects
    name_path = (*path, selects) if selects is not None and selects in value else path
    choice = DataChoice(entry, options, str(resolver.recipe.place(*name_path, of_value=True)))
    if len(resolver.mistakes) == before and task is not None:
        check_columns(choice, task, path, resolver)
    return choice


def splits_of(data: DataChoice | None) -> tuple[str, ...]:
    """The splits that the data have, as far as a plan can know."""
    if data is None:
        return ()
    if isinstance(data.options, FileOptions):
        return tuple(split for split in SPLITS if getattr(data.options, split) is not None)
    return SPLITS


def _source(value: Section, path: KeyPath, resolver: Resolver) -> Registered[Source[Any]] | None:
    """The source that a section names or implies; None with a mistake added."""
    if "source" not in value:
        return _implied_source(value, path, resolver)
    name, place = value["source"], (*path, "source")
    if isinstance(name, str):
        return resolver.source(name, place)
    hint = f"one of {_known_sources(resolver)}"
    resolver.wrong(place, f"source: got {name!r}: expected a name", hint)
    return None


def _implied_source(
    value: Section, path: KeyPath, resolver: Resolver
) -> Registered[Source[Any]] | None:
    """The source whose selecting option is in the section, else the one that reads files with these
    suffixes."""
    sources = resolver.registry.sources.values()
    for entry in sources:
        if entry.cls.selects and entry.cls.selects in value:
            return entry
    given = [value[key] for key in FileOptions.model_fields if key in value]
    files = [file for file in given if isinstance(file, str)]
    for entry in sources:
        if any(file.endswith(tuple(entry.cls.suffixes)) for file in files):
            return entry
    hint = f"give `source:`, one of {_known_sources(resolver)}"
    resolver.wrong(path, "data does not say what kind of source it is", hint)
    return None


def _known_sources(resolver: Resolver) -> str:
    return ", ".join(sorted(resolver.registry.sources))


def check_columns(choice: DataChoice, task: TaskChoice, path: KeyPath, resolver: Resolver) -> None:
    """Add a mistake for each column that the recipe maps and the task does not have, and for each
    column that the task reads and a split does not have."""
    columns: list[Column] = list(task.entry.cls.columns)
    known = [column.name for column in columns]
    for name in choice.options.columns:
        if name not in known:
            message = f"the task {task.name!r} has no column {name!r}"
            hint = suggestion(name, known)
            resolver.wrong((*path, "columns", name), message, hint, of_value=False)
    try:
        splits = choice.make().columns()
    except UsageError as error:
        place = resolver.recipe.place(*path, of_value=True)
        resolver.mistakes.add_all(error.placed(choice.place).mistakes, place)
        return
    except CompressError as error:
        resolver.wrong(path, str(error), of_value=False)
        return
    for split, present in splits.items():
        for column in columns:
            _check_column(column, split, present, choice, path, resolver)


def _check_column(
    column: Column,
    split: str,
    present: Sequence[str],
    choice: DataChoice,
    path: KeyPath,
    resolver: Resolver,
) -> None:
    mapping = choice.options.columns
    name, is_mapped = mapping.get(column.name, column.name), column.name in mapping
    if name in present or not (column.required or is_mapped):
        return
    where = (*path, "columns", column.name) if is_mapped else (*path, split)
    message = f"the {split} split has no column {name!r} for the task's {column.name!r}"
    hint = suggestion(name, present) or f"map it with columns: {{{column.name}: ...}}"
    resolver.wrong(where, message, hint)
