"""Jobs and messages as JSON, and back: an object with the fields of the class, and the name of the
class as ``kind``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from compress.artifact import JsonObject
from compress.measurement import Measured
from compress.workers.protocol import Job, Message

_KINDS: Mapping[str, type] = {cls.__name__: cls for cls in get_args(Job | Message)}


def encode(value: Job | Message, indent: int | None = None) -> str:
    """``value`` as JSON, in one line unless ``indent`` is given.

    Raises TypeError for what JSON cannot hold, such as an array in a sample."""
    named = {"kind": type(value).__name__, **_fields(value)}
    return json.dumps(named, default=_plain, indent=indent)


def decode_job(text: str) -> Job:
    """The job that ``encode`` wrote."""
    job: Job = _decoded(text)
    return job


def decode_message(text: str) -> Message:
    """The message that ``encode`` wrote."""
    message: Message = _decoded(text)
    return message


def _decoded(text: str) -> Any:
    values = json.loads(text)
    return _built(_KINDS[values.pop("kind")], values)


def _fields(value: Any) -> dict[str, Any]:
    return {f.name: getattr(value, f.name) for f in fields(value)}


def _plain(value: Any) -> Any:
    """``value`` as something that JSON knows. The encoder calls this for any other value."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Measured):
        return value.as_dict()
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value):
        return _fields(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _built(cls: Any, values: JsonObject) -> Any:
    hints = _hints(cls)
    return cls(**{name: _read(value, hints[name]) for name, value in values.items()})


@cache
def _hints(cls: Any) -> Mapping[str, Any]:
    return get_type_hints(cls)


def _read(value: Any, hint: Any) -> Any:
    """The value of a field of type ``hint``, from JSON. A type that is not below needs no
    change."""
    if value is None:
        return None
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:  # ``X | None``
        return _read(value, inner[0])
    if origin is tuple:
        return tuple(_read(item, inner[0]) for item in value)
    if origin is Mapping:
        return {key: _read(item, inner[1]) for key, item in value.items()}
    if hint is Path:
        return Path(value)
    if hint is Measured:
        return Measured.from_dict(value)
    return _built(hint, value) if is_dataclass(hint) else value
