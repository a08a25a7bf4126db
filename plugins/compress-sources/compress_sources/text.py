"""Plain text files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from compress.source import Table
from compress_sources.decoding import lines_of, opened
from compress_sources.files import FileSource, TextFiles
from compress_sources.spooling import table_of


class TextOptions(TextFiles):
    """Options of plain text."""

    unit: Literal["line", "paragraph"] = Field(
        default="line",
        description="An example: each line that is not blank, or the lines between blank lines.",
    )


class Text(FileSource[TextOptions]):
    """Examples of plain text files, in one column ``text``."""

    name = "text"
    summary = "plain text, an example a line or a paragraph"
    Options = TextOptions
    suffixes = (".txt", ".txt.gz")

    def table(self, path: Path, split: str) -> Table:
        """One row for each line or paragraph, whose lines stay lines."""
        with opened(path, self.options.encoding) as text:
            lines = lines_of(text)
            units = _paragraphs(lines) if self.options.unit == "paragraph" else _single(lines)
            rows = ((number, ("\n".join(unit),)) for number, unit in units)
            return table_of(path, ("text",), rows)

    def header(self, path: Path, split: str) -> Sequence[str]:
        """Always ``text``."""
        return ("text",)


def _single(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """(line number, the line) of each line that is not blank."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, [line]


def _paragraphs(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """(number of the first line, the lines) of each run of lines that are not blank."""
    paragraph: list[str] = []
    start = 0
    for number, line in enumerate(lines, start=1):
        if line.strip():
            start = start if paragraph else number
            paragraph.append(line)
        elif paragraph:
            yield start, paragraph
            paragraph = []
    if paragraph:
        yield start, paragraph
