"""Reading JSON files that may come from a stranger: they are bounded in size and depth, and what is
wrong with one is said in one line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from compress.errors import UsageError

MOST_BYTES = 64 << 20
"""Bytes of the largest file that is read. The largest configs and indexes of weights have a few
MB."""
MOST_LEVELS = 64
"""Lists and objects inside each other, at most. What is nested deeper ends Python's recursion in
the code that reads the values."""
_TOO_DEEP = f"it is nested more than {MOST_LEVELS} levels deep"
_MOST_DIGITS = 40
"""Digits of the longest whole number. transformers writes one of 31 for "no limit"."""


def read_object(file: Path, *, infinity: bool = False) -> dict[str, Any]:
    """The JSON object in a file, without NaN, infinite numbers and keys that are there twice.

    ``infinity`` allows infinite numbers: the configs of some families have one. Raises UsageError
    with one line if the file is anything else, is too large, or is nested too deeply."""
    try:
        refuse_large(file)
        return parsed_object(file.read_text(encoding="utf-8"), infinity=infinity)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{file} cannot be read: {reason}") from error


def parsed_object(text: str, *, infinity: bool = False) -> dict[str, Any]:
    """The JSON object that ``text`` is, as ``read_object`` reads it. Raises ValueError, with the
    reason, for anything else."""
    try:
        values = _parsed(text, infinity)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if _is_deep(values):
        raise ValueError(_TOO_DEEP)
    if "\\u" in text:  # such an escape may be one half of a character
        json.dumps(values, ensure_ascii=False).encode()
    if not isinstance(values, dict):
        raise ValueError("it holds no JSON object")
    return values


def refuse_large(file: Path) -> None:
    """Raise UsageError for a file that is larger than any of its kind."""
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise UsageError(
            f"{file} cannot be read: it has {size} bytes, and at most {MOST_BYTES} are read"
        )


def first_problem(error: ValidationError) -> str:
    """The first problem of values that do not follow their schema, in one line: where it is, and
    what is wrong there."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part)[:60] for part in first["loc"])
    message = " ".join(first["msg"].split())
    return f"{place}: {message}" if place else message


def _parsed(text: str, infinity: bool) -> Any:
    def constant(word: str) -> float:
        if word == "NaN" or not infinity:
            raise ValueError(f"it holds {word}, which is no number of JSON")
        return float(word)

    def fraction(word: str) -> float:
        value = float(word)
        if value in (float("inf"), float("-inf")) and not infinity:
            raise ValueError(f"it holds the number {word:.40}, which is too large")
        return value

    return json.loads(
        text,
        object_pairs_hook=_distinct,
        parse_constant=constant,
        parse_float=fraction,
        parse_int=_whole_number,
    )


def _whole_number(word: str) -> int:
    if len(word) > _MOST_DIGITS:
        raise ValueError(f"it holds a whole number of {len(word)} digits")
    return int(word)


def _distinct(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs. Readers differ in which of two equal keys they take."""
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"the key {key!r:.60} is there twice")
        values[key] = value
    return values


def _is_deep(values: Any) -> bool:
    """Whether lists and objects are nested too deeply. It goes level by level, for a function that
    calls itself would end at the same depth as those it protects."""
    level = [values]
    for _ in range(MOST_LEVELS):
        level = [item for holder in level for item in _items(holder)]
        if not level:
            return False
    return True


def _items(holder: Any) -> Iterable[Any]:
    """The lists and objects in a list or an object."""
    if isinstance(holder, dict):
        holder = holder.values()
    elif not isinstance(holder, list):
        return ()
    return [item for item in holder if isinstance(item, dict | list)]
