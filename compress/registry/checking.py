"""What is wrong with a class that a hook returned: all of it in one pass, a line each.

What a class must set, and of which type, is read from the annotations of its contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from compress.command import Command, command_mistakes
from compress.errors import listed, shortened
from compress.options import nested


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
    return mistakes


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
            for option in _undescribed(value):
                yield (
                    f"{given.__name__}.{name}: {option!r} has no description: give it "
                    "Field(description=...)"
                )


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


def _undescribed(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Names of the options without a description; those of a nested model are dotted."""
    for name, field in model.model_fields.items():
        if not field.description:
            yield prefix + name
        inner = nested(field.annotation)
        if inner:
            yield from _undescribed(inner, f"{prefix}{name}.")
