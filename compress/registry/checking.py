"""What is wrong with a class that a hook returned: all of it in one pass, a line each.

What a class must set, and of which type, is read from the annotations of its contract."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from compress.command import Command, command_mistakes
from compress.errors import listed, shortened
from compress.options import nested
from compress.request import ARGUMENTS
from compress.task import Task

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def mistakes_of(given: object, contract: type) -> list[str]:
    """What is wrong with ``given`` as a class of ``contract``; empty if nothing is."""
    name = f"{contract.__module__}.{contract.__name__}"
    if not isinstance(given, type):
        cls = type(given)
        if isinstance(given, contract):
            return [f"an instance of {cls.__name__} was returned: return the class itself"]
        return [f"{shortened(repr(given))} is no class: return classes that derive from {name}"]
    if not issubclass(given, contract):
        return [f"{given.__name__} does not derive from {name}"]
    mistakes = [*_missing_methods(given), *_wrong_variables(given, contract)]
    if not mistakes and issubclass(given, Command):
        mistakes += command_mistakes(given)
    if not mistakes and issubclass(given, Task):
        mistakes += _taken_flags(given)
    return mistakes


def _taken_flags(task: type[Task[Any]]) -> Iterator[str]:
    """Request options that would hide an argument that every request has."""
    for name in sorted(ARGUMENTS & task.RequestOptions.model_fields.keys()):
        yield (
            f"{task.__name__}.RequestOptions: {name!r} is an argument of every request: choose "
            "another name"
        )


def _missing_methods(given: type) -> Iterator[str]:
    names = sorted(getattr(given, "__abstractmethods__", ()))
    if names:
        yield f"{given.__name__} does not implement {listed(names)}"


def _wrong_variables(given: type, contract: type) -> Iterator[str]:
    """Class variables that are missing or of another type, and options without a description."""
    for name, hint in _variables(contract).items():
        value = getattr(given, name, None)
        if not hasattr(given, name):
            yield f"{given.__name__} sets no {name}: expected {_written(hint)}"
        elif not _fits(value, hint):
            text = shortened(repr(value))
            yield f"{given.__name__}.{name} is {text}: expected {_written(hint)}"
        elif not hasattr(contract, name) and isinstance(value, str) and not value.strip():
            yield f"{given.__name__}.{name} is empty"
        elif isinstance(value, type) and issubclass(value, BaseModel):
            for option, mistake in _option_mistakes(value):
                yield f"{given.__name__}.{name}: {option!r} {mistake}"
        elif name == "name" and contract is not Command and not _is_name(value):
            yield (
                f"{given.__name__}.name is {shortened(repr(value))}: expected letters, digits, "
                "'.', '_' and '-', as in 'prune.structured'"
            )


def _is_name(value: object) -> bool:
    """Whether a value can stand for a class in a recipe, a report and the names of files."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


@cache
def _variables(contract: type) -> Mapping[str, Any]:
    """The class variables of a contract with their types. Those without a value in the contract
    must be set."""
    hints = get_type_hints(contract).items()
    return {name: get_args(hint)[0] for name, hint in hints if get_origin(hint) is ClassVar}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type. What cannot be asked fits."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any or isinstance(value, property):
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin is tuple and inner[-1] is Ellipsis:
        return isinstance(value, tuple) and all(_fits(item, inner[0]) for item in value)
    try:
        if origin is type:
            return isinstance(value, type) and issubclass(value, get_origin(inner[0]) or inner[0])
        kind = origin or hint
        return not isinstance(kind, type) or isinstance(value, kind)
    except TypeError:  # a protocol
        return True


def _written(hint: Any) -> str:
    """A type as Python writes it, without the modules of its parts."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint in (None, NoneType):
        return "None"
    if hint is Ellipsis:
        return "..."
    if origin in (Union, UnionType):
        return " | ".join(map(_written, inner))
    if origin is Literal:
        return " | ".join(map(repr, inner))
    name = getattr(origin or hint, "__name__", str(hint))
    return f"{name}[{', '.join(map(_written, inner))}]" if inner else name


def _option_mistakes(
    model: type[BaseModel], prefix: str = "", outer: tuple[type[BaseModel], ...] = ()
) -> Iterator[tuple[str, str]]:
    """The names of options, dotted in a nested model, with what is wrong with each. ``outer`` are
    the models that hold this one."""
    models = (*outer, model)
    for name, field in model.model_fields.items():
        if not field.description:
            yield prefix + name, "has no description: give it Field(description=...)"
        inner = nested(field.annotation)
        if inner in models:
            yield prefix + name, "holds options that hold themselves: nest them to a fixed depth"
        elif inner:
            yield from _option_mistakes(inner, f"{prefix}{name}.", models)
