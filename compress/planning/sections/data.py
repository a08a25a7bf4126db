"""Reading a ``data`` section: which source it describes, and whether the source has the columns
that the task reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compress.errors import CompressError, UsageError, did_you_mean, listed, suggestion
from compress.planning.resolver import Resolver
from compress.planning.types import DataChoice, TaskChoice
from compress.recipes.places import KeyPath, Section
from compress.registry.plugins import Registered
from compress.source import SPLITS, FileOptions, Source, SourceOptions
from compress.task import Column

_LISTED = 10
"""Columns of a file that a hint lists."""


def read_data(
    value: Any, path: KeyPath, task: TaskChoice | None, resolver: Resolver
) -> DataChoice | None:
    """The source that ``value`` describes, its columns checked against the task's; None with a
    mistake added."""
    before = len(resolver.mistakes)
    choice = _read_choice(value, path, resolver)
    if choice is not None and task is not None and len(resolver.mistakes) == before:
        check_columns(choice, task, path, resolver)
    return choice


def read_unlabelled(
    value: Section, path: KeyPath, task: TaskChoice | None, resolver: Resolver
) -> DataChoice | None:
    """The source of rows without targets that ``value`` describes: its rows have the task's columns
    without the targets, or a ``text``. None with a mistake added."""
    choice = _read_choice(value, path, resolver)
    if choice is None or task is None:
        return choice
    if "train" not in splits_of(choice):
        resolver.wrong(path, "there is no train split", "name the rows as train: FILE")
        return None
    inputs = [column for column in task.entry.cls.columns if not column.is_target]
    known = list(dict.fromkeys([*(column.name for column in inputs), "text"]))
    _check_mapping(choice, task.name, known, path, resolver)
    return choice


def _read_choice(value: Any, path: KeyPath, resolver: Resolver) -> DataChoice | None:
    """The source that ``value`` describes; None with a mistake added."""
    if not isinstance(value, dict):
        example = "data: {train: train.csv, test: test.csv}"
        resolver.wrong(path, "data must be a mapping", example)
        return None
    entry = _source(value, path, resolver)
    if entry is None:
        return None
    values = {key: given for key, given in value.items() if key != "source"}
    options = resolver.options(entry.cls.Options, values, path)
    if options is None:
        return None
    # A message about the data stands at the option that names them, such as ``hub: NAME``.
    selects = entry.cls.selects
    name_path = (*path, selects) if selects is not None and selects in value else path
    place = str(resolver.recipe.place(*name_path, of_value=True))
    return DataChoice(entry, options, place, _drawing_seed(options, resolver))


def _drawing_seed(options: SourceOptions, resolver: Resolver) -> int:
    """The recipe's seed where it draws rows, else 0. A seed that cannot be one has a mistake of its
    own."""
    seed = resolver.recipe.top.get("seed", 0)
    return seed if options.rows is not None and isinstance(seed, int) else 0


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
    _check_mapping(choice, task.name, [column.name for column in columns], path, resolver)
    try:
        splits = choice.make().columns()
    except UsageError as error:
        place = resolver.recipe.place(*path, of_value=True)
        resolver.mistakes.add_all(error.placed(choice.place).mistakes, place)
        return
    except CompressError as error:
        resolver.wrong(path, str(error), of_value=False)
        return
    for column in columns:
        lacking = [split for split in splits if _lacks(column, split, splits[split], choice)]
        for mapped, some in _by_mapped_name(column, lacking, choice).items():
            _add_missing(column, mapped, some, splits[some[0]], choice, path, resolver)


def _check_mapping(
    choice: DataChoice, task: str, known: Sequence[str], path: KeyPath, resolver: Resolver
) -> None:
    """Add a mistake for each mapped column that the task does not have."""
    for key, value in choice.options.columns.items():
        inner = [(key, name) for name in value] if isinstance(value, dict) else [(key,)]
        for keys in inner:
            if keys[-1] not in known:
                message = f"the task {task!r} has no column {keys[-1]!r}"
                hint = suggestion(keys[-1], known)
                resolver.wrong((*path, "columns", *keys), message, hint, of_value=False)


def _lacks(column: Column, split: str, present: Sequence[str], choice: DataChoice) -> bool:
    """Whether the split does not have a column that is mapped or that the task needs."""
    mapping = choice.options.columns_of(split)
    is_needed = column.required or column.name in mapping
    return is_needed and mapping.get(column.name, column.name) not in present


def _by_mapped_name(
    column: Column, splits: Sequence[str], choice: DataChoice
) -> dict[str, list[str]]:
    """The splits by the name that the recipe gives the column there, empty where it gives none."""
    grouped: dict[str, list[str]] = {}
    for split in splits:
        mapped = choice.options.columns_of(split).get(column.name, "")
        grouped.setdefault(mapped, []).append(split)
    return grouped


def _add_missing(
    column: Column,
    mapped: str,
    splits: Sequence[str],
    present: Sequence[str],
    choice: DataChoice,
    path: KeyPath,
    resolver: Resolver,
) -> None:
    """Add the mistake that splits lack a column; ``mapped`` is the name that the recipe gives it
    there, empty where it gives none."""
    split, name = splits[0], mapped or column.name
    whose = f"{split} split has" if len(splits) == 1 else f"splits {', '.join(splits)} have"
    message = f"the {whose} no column {name!r} for the task's {column.name!r}"
    hint = did_you_mean(name, present) or _columns_and_remedy(column, split, present)
    own = choice.options.columns.get(split)
    if isinstance(own, dict) and column.name in own:
        where = (*path, "columns", split, column.name)
    else:
        where = (*path, "columns", column.name) if mapped else (*path, split)
    resolver.wrong(where, message, hint)


def _columns_and_remedy(column: Column, split: str, present: Sequence[str]) -> str:
    remedy = column.hint_where_missing(split)
    is_short = 0 < len(present) <= _LISTED
    return f"there are {listed(present)}: {remedy}" if is_short else remedy
