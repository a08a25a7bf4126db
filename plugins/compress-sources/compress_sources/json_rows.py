"""JSON: a list of objects, or one object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from compress.errors import Mistake, UsageError
from compress.source import Table
from compress_sources.files import FileSource, TextFiles, decoded, head, lines_of

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_SHAPES = "a file is one list of objects, or one object a line"

Item = tuple[int, Any]
"""A line number and the value that starts there; a Mistake if it cannot be read."""


class Json(FileSource[TextFiles]):
    """Rows of JSON files. A file whose first character is ``[`` is a list, any other holds
    one object a line."""

    name = "json"
    summary = "a JSON list of objects, or JSON lines"
    Options = TextFiles
    suffixes = (".json", ".jsonl")

    def table(self, path: Path) -> Table:
        """One row for each object, with the values' own types."""
        text = decoded(path, self.options.encoding)
        is_list = text.lstrip().startswith("[")
        values = _items(text, str(path)) if is_list else _line_values(text, str(path))
        rows: list[dict[str, Any]] = []
        places: list[str] = []
        mistakes: list[Mistake] = []
        for line, value in values:
            if isinstance(value, dict):
                rows.append(value)
                places.append(f"{path.name}:{line}")
            else:
                mistakes.append(_complaint(path, line, value))
        if mistakes:
            raise UsageError(mistakes)
        return Table(rows, places)

    def header(self, path: Path) -> Sequence[str]:
        """The keys of the first object, where it ends within the first 64 KiB."""
        text = head(path, self.options.encoding).lstrip().removeprefix("[").lstrip()
        try:
            value, _ = _DECODER.raw_decode(text)
        except json.JSONDecodeError:
            return ()
        return list(value) if isinstance(value, dict) else ()


def _complaint(path: Path, line: int, value: Any) -> Mistake:
    if isinstance(value, Mistake):
        return value
    return Mistake(f"{path}:{line}", f"a row is an object, not {type(value).__name__}", _SHAPES)


def _line_values(text: str, where: str) -> Iterator[Item]:
    for number, line in enumerate(lines_of(text), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                yield number, Mistake(f"{where}:{number}:{error.colno}", error.msg, _SHAPES)


def _items(text: str, where: str) -> Iterator[Item]:
    """The items of the list with their lines. They are decoded one by one, because
    ``json.loads`` does not say where an item begins."""
    position, line, seen = _after_space(text, text.index("[") + 1), 1, 0
    while not text.startswith("]", position):
        line, seen = line + text.count("\n", seen, position), position
        try:
            value, position = _DECODER.raw_decode(text, position)
            position = _after_separator(text, _after_space(text, position))
        except json.JSONDecodeError as error:
            yield error.lineno, Mistake(f"{where}:{error.lineno}:{error.colno}", error.msg, _SHAPES)
            return
        yield line, value
    end = _after_space(text, position + 1)
    if end != len(text):
        number = text.count("\n", 0, end) + 1
        yield number, Mistake(f"{where}:{number}", "text after the list's end", _SHAPES)


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _after_separator(text: str, position: int) -> int:
    """The position of the next item, or of the closing bracket."""
    if text.startswith("]", position):
        return position
    if not text.startswith(",", position):
        raise json.JSONDecodeError("Expecting ',' delimiter", text, position)
    after = _after_space(text, position + 1)
    if text.startswith("]", after):
        raise json.JSONDecodeError("Expecting a value after ','", text, after)
    return after
