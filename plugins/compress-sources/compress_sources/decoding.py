"""How the bytes of a file become text, and what is said of bytes that do not. A file whose name
ends in ``.gz`` is unpacked while it is read."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from gzip import GzipFile
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import TextIO

from compress.errors import Mistake, UsageError, first_line

HEAD = 1 << 16
"""Bytes at the beginning of a file from which its columns are read."""
_LONGEST_MARK = 4
_MARKS = {
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
}
PACKED = ".gz"
"""The end of the name of a file that is packed."""


def decoded(path: Path, encoding: str) -> str:
    """The file's text without a byte order mark. Raises a UsageError that names each line
    that is not in ``encoding``."""
    with _unpacked(path) as stream:
        data = stream.read()
    _refuse_marks(path, data, encoding)
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise UsageError(_undecodable(path, data, encoding, error)) from error


@contextmanager
def opened(path: Path, encoding: str) -> Iterator[TextIO]:
    """The file's text without a byte order mark, to be read line by line; line ends stay.
    Raises the errors of ``decoded``."""
    with _unpacked(path) as stream:
        start = stream.read(_LONGEST_MARK)
    _refuse_marks(path, start, encoding)
    try:
        with _unpacked(path) as stream, TextIOWrapper(stream, encoding, newline="") as text:
            if text.read(1) != "\ufeff":
                text.seek(0)
            yield text
    except UnicodeDecodeError:
        decoded(path, encoding)  # it knows every line that is wrong
        raise


def head(path: Path, encoding: str) -> str:
    """The first 64 KiB of the file as text; empty if they cannot be decoded (``decoded``
    reports that).

    Raises UsageError if the encoding needs a byte order mark and the file has none."""
    with _unpacked(path) as stream:
        data = stream.read(HEAD)
    _refuse_unmarked(path, data, encoding)
    if _marked_otherwise(data, encoding):
        return ""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data).removeprefix("\ufeff")
    except UnicodeDecodeError:
        return ""


def lines_of(text: Iterable[str]) -> Iterator[str]:
    """Lines without their ends (``\\n``, ``\\r\\n``, ``\\r``). No other character ends a line.
    ``text`` are lines with ends."""
    for line in text:
        yield line.rstrip("\r\n") if line.endswith(("\r", "\n")) else line


def _marked_otherwise(data: bytes, encoding: str) -> bool:
    """Whether the file has the mark of UTF-8 and another encoding is set. Encodings like
    latin-1 decode any bytes without an error, so the mistake would not show."""
    return data.startswith(codecs.BOM_UTF8) and codecs.lookup(encoding).name not in (
        "utf-8",
        "utf-8-sig",
    )


def _refuse_marks(path: Path, data: bytes, encoding: str) -> None:
    """Raise UsageError where the beginning of a file shows that it has another encoding."""
    _refuse_unmarked(path, data, encoding)
    if _marked_otherwise(data, encoding):
        message = f"the file starts with the byte order mark of UTF-8, and encoding is {encoding}"
        raise UsageError([Mistake(f"{path}:1", message, "leave encoding out")])


def _refuse_unmarked(path: Path, data: bytes, encoding: str) -> None:
    """Raise UsageError for utf-16 and utf-32 without a mark at the beginning. The mark
    gives the order of bytes; with the wrong order a text becomes another one."""
    name = codecs.lookup(encoding).name
    if data and name in _MARKS and not data.startswith(_MARKS[name]):
        message = f"the file has no byte order mark, without which {encoding} cannot be read"
        hint = f"encoding: {name}-le or {name}-be, or leave it out for UTF-8"
        raise UsageError([Mistake(f"{path}:1", message, hint)])


def _undecodable(
    path: Path, data: bytes, encoding: str, first: UnicodeDecodeError
) -> list[Mistake]:
    if "\n".encode(encoding) != b"\n":  # lines cannot be found without decoding
        return [_bad_byte(path, 1, data, first.start, encoding)]
    mistakes, start = [], 0
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            line.decode(encoding)
        except UnicodeDecodeError as error:
            mistakes.append(_bad_byte(path, number, data, start + error.start, encoding))
        start += len(line) + 1
    return mistakes


def _bad_byte(path: Path, line: int, data: bytes, offset: int, encoding: str) -> Mistake:
    return Mistake(
        f"{path}:{line}",
        f"byte 0x{data[offset]:02x} at offset {offset} is not {encoding}",
        "save the file as UTF-8 or set encoding, for example latin-1",
    )


@contextmanager
def _unpacked(path: Path) -> Iterator[BufferedReader | GzipFile]:
    """The file's bytes. Raises UsageError where a packed file is damaged or cut off."""
    if not path.name.endswith(PACKED):
        with path.open("rb") as stream:
            yield stream
        return
    try:
        with gzip.open(path) as stream:
            yield stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        message = f"cannot be unpacked: {first_line(error)}"
        raise UsageError([Mistake(str(path), message, "make or download the file again")]) from None
