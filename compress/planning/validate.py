"""Options against their pydantic model: each error becomes a mistake at the place of the value it
is about."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from compress.errors import Mistake, suggestion
from compress.options import PathMark, fields_marked, nested
from compress.planning.paths import path_from

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

M = TypeVar("M", bound=BaseModel)
Place = Callable[..., str]


def validated(
    model: type[M],
    values: Mapping[str, Any],
    place: Place,
    path: tuple[str | int, ...],
    mistakes: list[Mistake],
) -> M | None:
    """The options object, or None with mistakes added. ``place(*path, of_value=...)`` gives
    ``file:line:column``."""
    try:
        return model.model_validate_json(json.dumps(dict(values)))
    except ValidationError as error:
        for loc, texts in _by_location(error, values).items():
            mistakes.append(_mistake(model, loc, texts, values, place, path))
        return None


def resolve_paths(
    options: M, place: Place, path: tuple[str | int, ...], folder: Path, mistakes: list[Mistake]
) -> M:
    """The options with path fields absolute (relative to the recipe's file; what ``--set`` gives,
    to the working directory); one that does not exist is a mistake."""
    found: dict[str, str] = {}
    for name in fields_marked(type(options), PathMark):
        value = getattr(options, name)
        if not isinstance(value, str):
            continue
        where = place(*path, name, of_value=True)
        try:
            target = path_from(value, Path.cwd() if where.startswith("--set") else folder).resolve()
        except ValueError as error:
            mistakes.append(Mistake(where, f"{name}: {error}"))
            continue
        if not target.exists():
            near = (
                suggestion(target.name, [p.name for p in target.parent.iterdir()])
                if target.parent.is_dir()
                else ""
            )
            mistakes.append(
                Mistake(
                    where,
                    f"{name}: there is no file {value!r}",
                    near or f"looked in {target.parent}",
                )
            )
        found[name] = str(target)
    return options.model_copy(update=found)


def _by_location(
    error: ValidationError, values: Mapping[str, Any]
) -> dict[tuple[str | int, ...], list[Any]]:
    """Errors by the path that exists in the values: a union's alternatives end in a tag that is no
    key."""
    grouped: dict[tuple[str | int, ...], list[Any]] = {}
    for item in error.errors(include_url=False):
        loc = tuple(item["loc"])
        if item["type"] not in ("missing", "extra_forbidden"):
            loc = _existing(loc, values)
        grouped.setdefault(loc, []).append(item)
    return grouped


def _existing(loc: tuple[str | int, ...], values: Any) -> tuple[str | int, ...]:
    out: tuple[str | int, ...] = ()
    for key in loc:
        is_item = isinstance(values, list) and isinstance(key, int) and key < len(values)
        if not is_item and not (isinstance(values, Mapping) and key in values):
            break
        values, out = values[key], (*out, key)
    return out


def _mistake(
    model: type[BaseModel],
    loc: tuple[str | int, ...],
    items: list[Any],
    values: Mapping[str, Any],
    place: Place,
    path: tuple[str | int, ...],
) -> Mistake:
    name = ".".join(map(str, loc))
    first = items[0]
    if first["type"] == "extra_forbidden":
        where = place(*path, *loc)
        return Mistake(
            where, f"unknown option {name!r}", suggestion(str(loc[-1]), _siblings(model, loc))
        )
    if first["type"] == "missing":
        return Mistake(
            place(*path, *loc[:-1]), f"the option {name!r} is missing", _description(model, loc)
        )
    message = " or ".join(dict.fromkeys(map(_message, items)))
    about = f"{name}: got {first['input']!r}: " if name else ""
    return Mistake(place(*path, *loc, of_value=True), about + message, _description(model, loc))


def _message(item: Mapping[str, Any]) -> str:
    """What is wrong, in one clause; what a validator of ours raised stands as it was written."""
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    expected = _EXPECTED.get(item["type"])
    return f"expected {expected}" if expected else item["msg"][:1].lower() + item["msg"][1:]


def _siblings(model: type[BaseModel], loc: tuple[str | int, ...]) -> Mapping[str, Any]:
    """The fields among which the last key of ``loc`` stands."""
    inner: Any = model
    for key in loc[:-1]:
        field = inner.model_fields.get(key) if inner else None
        inner = nested(field.annotation) if field else None
    return inner.model_fields if inner else {}


def _description(model: type[BaseModel], loc: tuple[str | int, ...]) -> str:
    """Of the innermost field that ``loc`` leads to."""
    for end in range(len(loc), 0, -1):
        field = _siblings(model, loc[:end]).get(str(loc[end - 1]))
        if field:
            return (field.description or "").rstrip(".")
    return ""
