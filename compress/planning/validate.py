"""Options against their pydantic model: each error becomes a mistake at the place of the value it
is about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from compress.errors import did_you_mean, shortened, suggestion
from compress.options import PathMark, fields_marked, nested
from compress.recipes.places import KeyPath, Mistakes, Section
from compress.recipes.recipe import Recipe

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}
"""What was expected, by pydantic's type of error, in the words of a recipe."""

_BOUNDS = {
    "greater_than": "a number greater than {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number less than {lt}",
    "less_than_equal": "a number of at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "too_short": "at least {min_length} items",
    "too_long": "at most {max_length} items",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
}
"""What was expected where pydantic's error has a number or the choices."""

M = TypeVar("M", bound=BaseModel)


def validated(
    model: type[M], values: Section, path: KeyPath, recipe: Recipe, mistakes: Mistakes
) -> M | None:
    """The options object for the ``values`` that stand at ``path``; None with mistakes added."""
    try:
        return model.model_validate_json(json.dumps(dict(values)))
    except ValidationError as error:
        reporter = _Reporter(model, path, recipe, mistakes)
        for location, errors in _by_location(error, values).items():
            reporter.report(location, errors)
        return None


def resolve_paths(options: M, path: KeyPath, recipe: Recipe, mistakes: Mistakes) -> M:
    """The options with absolute paths; a mistake is added for each path that leads to nothing."""
    resolved: dict[str, str] = {}
    for name in fields_marked(type(options), PathMark):
        value = getattr(options, name)
        if not isinstance(value, str):
            continue
        place = recipe.place(*path, name, of_value=True)
        try:
            target = recipe.path_of(value, place).resolve()
        except ValueError as error:
            mistakes.add(place, f"{name}: {error}")
            continue
        if not target.exists():
            mistakes.add(place, f"{name}: there is no file {value!r}", _hint_for_missing(target))
        resolved[name] = str(target)
    return options.model_copy(update=resolved)


def _hint_for_missing(target: Path) -> str:
    """The file that may be meant: the nearest name, else the files beside it of its own kind."""
    try:
        beside = [file.name for file in target.parent.iterdir()]
    except OSError:  # there is no such folder, or nobody may look into it
        beside = []
    alike = [name for name in beside if Path(name).suffix == target.suffix]
    near = did_you_mean(target.name, beside) or suggestion(target.name, alike)
    return near or f"looked in {target.parent}"


def _by_location(error: ValidationError, values: Section) -> dict[KeyPath, list[ErrorDetails]]:
    """Errors by the path of the value that they are about."""
    grouped: dict[KeyPath, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        location = _existing(tuple(details["loc"]), values)
        if details["type"] == "missing":
            location = (*location, details["loc"][-1])
        grouped.setdefault(location, []).append(details)
    return grouped


def _existing(location: KeyPath, values: Any) -> KeyPath:
    """The part of a location that exists in the values: the alternatives of a union add a tag that
    is no key, before the keys of a mapping or at the end."""
    existing: KeyPath = ()
    for key in location:
        is_item = isinstance(values, list) and isinstance(key, int) and key < len(values)
        if is_item or (isinstance(values, Mapping) and key in values):
            values, existing = values[key], (*existing, key)
        elif not isinstance(values, Mapping):
            break
    return existing


@dataclass(frozen=True)
class _Reporter:
    """Turns pydantic's errors about one model into mistakes of a recipe."""

    model: type[BaseModel]
    path: KeyPath
    recipe: Recipe
    mistakes: Mistakes

    def report(self, location: KeyPath, errors: list[ErrorDetails]) -> None:
        """Add the mistake that several errors about one value make together."""
        name = ".".join(map(str, location))
        kind = errors[0]["type"]
        if kind == "extra_forbidden":
            place = self.recipe.place(*self.path, *location)
            hint = suggestion(str(location[-1]), _siblings(self.model, location))
            self.mistakes.add(place, f"unknown option {name!r}", hint)
        elif kind == "missing":
            place = self.recipe.place(*self.path, *location[:-1])
            hint = _description(self.model, location)
            self.mistakes.add(place, f"the option {name!r} is missing", hint)
        else:
            place = self.recipe.place(*self.path, *location, of_value=True)
            about = f"{name}: got {shortened(repr(errors[0]['input']))}: " if name else ""
            self.mistakes.add(place, about + _message(errors), _description(self.model, location))


def _message(errors: Sequence[ErrorDetails]) -> str:
    """What is wrong, in one clause, from the errors of all types that a value may have; the words
    of a validator of ours stand as they are."""
    expected: list[str] = []
    others: list[str] = []
    for error in errors:
        words = _expected(error)
        if words:
            expected.append(words)
        elif error["type"] == "value_error":
            others.append(str(error["ctx"]["error"]))
        else:
            others.append(error["msg"][:1].lower() + error["msg"][1:])
    clause = [f"expected {' or '.join(dict.fromkeys(expected))}"] if expected else []
    return " or ".join(dict.fromkeys([*clause, *others]))


def _expected(error: ErrorDetails) -> str:
    """What was expected instead of the value; empty where the error does not say."""
    kind = error["type"]
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**error["ctx"])
    return _EXPECTED.get(kind, "")


def _siblings(model: type[BaseModel], location: KeyPath) -> Mapping[str, FieldInfo]:
    """The fields among which the last key of a location stands."""
    inner: Any = model
    names = [key for key in location[:-1] if isinstance(key, str)]  # without places in lists
    for key in names:
        field = inner.model_fields.get(key) if inner else None
        inner = nested(field.annotation) if field else None
    return inner.model_fields if inner else {}


def _description(model: type[BaseModel], location: KeyPath) -> str:
    """The description of the innermost field that a location leads to."""
    for end in range(len(location), 0, -1):
        field = _siblings(model, location[:end]).get(str(location[end - 1]))
        if field:
            return (field.description or "").rstrip(".")
    return ""
