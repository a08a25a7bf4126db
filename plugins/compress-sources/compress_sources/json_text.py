"""Values of a JSON text with the lines on which they stand, whatever the text holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from compress.errors import Mistake

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_DEEPEST = 100
"""Levels of nesting that a row may have; with far more the parser reaches Python's own limit."""

Item = tuple[int, Any]
"""A line number and the value that starts there; a Mistake if it cannot be read."""


class UnreadableValue(ValueError):
    """A value that cannot be read. ``position`` is where in the text, ``reason`` why."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(reason)
        self.reason, self.position = reason, position


def read_value(text: str, position: int = 0) -> tuple[Any, int]:
    """The value at ``position``, and the position after it. Raises UnreadableValue."""
    try:
        value, end = _DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        raise UnreadableValue(error.msg, error.pos) from error
    except RecursionError as error:
        raise UnreadableValue(f"values are nested over {_DEEPEST} levels deep", position) from error
    except ValueError as error:  # of int, for a number that is too long
        raise UnreadableValue("a number has more digits than can be read", position) from error
    brackets = text.count("[", position, end) + text.count("{", position, end)
    if brackets > _DEEPEST and isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _refuse_deep(item, position)
    return value, end


def _refuse_deep(value: Any, position: int) -> None:
    """Raise UnreadableValue for a value that is nested too deep."""
    level = [value]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        level = [one for one in inner if isinstance(one, dict | list)]
        if not level:
            return
    raise UnreadableValue(f"values are nested over {_DEEPEST} levels deep", position)


def unreadable(text: str, error: UnreadableValue, where: str, shapes: str) -> Mistake:
    """The mistake that a text cannot be read, at its line and column."""
    line = text.count("\n", 0, error.position) + 1
    column = error.position - text.rfind("\n", 0, error.position)
    return Mistake(f"{where}:{line}:{column}", error.reason, shapes)


def value_of_line(line: str, number: int, where: str, shapes: str) -> Any:
    """The value of a line that is not blank; a Mistake if it cannot be read."""
    try:
        start = after_space(line, 0)
        value, end = read_value(line, start)
        if after_space(line, end) != len(line):
            raise UnreadableValue("Extra data", after_space(line, end))
    except UnreadableValue as error:
        return Mistake(f"{where}:{number}:{error.position + 1}", error.reason, shapes)
    return value


def list_items(
    text: str, opening: int, where: str, shapes: str, *, is_whole: bool
) -> Iterator[Item]:
    """The items of the list whose bracket is at ``opening``. They are decoded one by one, because
    a decoder of the whole does not say where an item begins.

    ``is_whole`` says that nothing may follow the list."""
    line, seen = text.count("\n", 0, opening) + 1, opening
    position = after_space(text, opening + 1)
    while not text.startswith("]", position):
        line, seen = line + text.count("\n", seen, position), position
        try:
            value, position = read_value(text, position)
            position = _after_separator(text, after_space(text, position))
        except UnreadableValue as error:
            yield line, unreadable(text, error, where, shapes)
            return
        yield line, value
    end = after_space(text, position + 1)
    if is_whole and end != len(text):
        number = text.count("\n", 0, end) + 1
        yield number, Mistake(f"{where}:{number}", "text after the list's end", shapes)


def position_of_list(text: str, keys: Sequence[str]) -> int | None:
    """The position of the bracket of the list that ``keys`` lead to, from the text's outer object;
    None where there is no such list. The text may end after the bracket.

    Raises UnreadableValue where the text ends or cannot be read before it."""
    position = after_space(text, 0)
    for key in keys:
        found = _value_of(text, position, key)
        if found is None:
            return None
        position = found
    return position if text.startswith("[", position) else None


def _value_of(text: str, position: int, wanted: str) -> int | None:
    """The position of the value of a key in the object at ``position``; None where it has none."""
    if not text.startswith("{", position):
        return None
    position = after_space(text, position + 1)
    while not text.startswith("}", position):
        key, position = read_value(text, position)
        position = after_space(text, position)
        if not isinstance(key, str) or not text.startswith(":", position):
            raise UnreadableValue("Expecting a key and ':'", position)
        position = after_space(text, position + 1)
        if key == wanted:
            return position
        _, position = read_value(text, position)
        position = _after_separator(text, after_space(text, position), "}")
    return None


def after_space(text: str, position: int) -> int:
    """The position of the first character from ``position`` that is no white space."""
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _after_separator(text: str, position: int, closing: str = "]") -> int:
    """The position of the next item, or of the closing bracket."""
    if text.startswith(closing, position):
        return position
    if not text.startswith(",", position):
        raise UnreadableValue("Expecting ',' delimiter", position)
    after = after_space(text, position + 1)
    if text.startswith(closing, after):
        raise UnreadableValue("Expecting a value after ','", after)
    return after
