"""Texts from a file or the standard input: each line is a text. They are read one by one, so that
memory does not grow with the file."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from compress.errors import Mistake, UsageError

STANDARD_INPUT = "-"
"""What a user writes for the standard input, where a file is asked for."""

LONGEST = 16 * 1024 * 1024
"""Bytes of the longest line that is read. A model reads some thousand of them; a file without line
ends must not fill the memory."""

_SHOWN = 20
"""Mistakes that are told. A file of another kind has one in each line."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class TextLine:
    """A line of a file, with its ``place`` (``file:line``). One with a ``problem`` has no text."""

    place: str
    text: str
    problem: str = ""


@contextmanager
def opened(file: str) -> Iterator[tuple[BinaryIO, str]]:
    """The open stream of a file, or the standard input for ``-``, and what messages call it."""
    if file == STANDARD_INPUT:
        yield sys.stdin.buffer, "standard input"
        return
    with Path(file).open("rb") as stream:
        yield stream, file


def refuse_unreadable(file: str) -> None:
    """Raise UsageError with the lines of a file that cannot be read, before any is answered. A
    stream that can be read only once is not looked at: its lines are refused as they come."""
    if file == STANDARD_INPUT or not stat.S_ISREG(Path(file).stat().st_mode):
        return
    mistakes: list[Mistake] = []
    count = 0
    with opened(file) as (stream, name):
        for line in text_lines(stream, name):
            if line.problem:
                count += 1
                mistakes += [Mistake(line.place, line.problem)] if count <= _SHOWN else []
    if count > _SHOWN:
        mistakes.append(Mistake(file, f"{count - _SHOWN} more lines cannot be read"))
    if mistakes:
        raise UsageError(mistakes)


def text_lines(stream: BinaryIO, name: str) -> Iterator[TextLine]:
    """The lines of a stream in order, without their ends. Lines end with a line feed, or a carriage
    return and a line feed. A byte order mark before the first one is no text."""
    number = 0
    while line := stream.readline(LONGEST + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        yield _text_line(f"{name}:{number}", line)
        if len(line) > LONGEST:
            return  # what follows is the rest of this line


def _text_line(place: str, line: bytes) -> TextLine:
    if len(line) > LONGEST:
        return TextLine(place, "", f"it is longer than {LONGEST} bytes: a text is a line")
    try:
        text = line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"byte {line[error.start]:#04x} at position {error.start + 1}"
        return TextLine(place, "", f"it is not valid UTF-8 ({found})")
    if not text.strip():
        return TextLine(place, "", "it is empty: each line is a text")
    return TextLine(place, text)
