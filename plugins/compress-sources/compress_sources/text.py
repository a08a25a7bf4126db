"""Plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal

from pydantic import Field

from compress.source import Table
from compress_sources.files import FileSource, TextFiles, decoded, lines_of


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
    suffixes = (".txt",)

    def table(self, path: Path) -> Table:
        """One row for each line or paragraph, whose lines stay lines."""
        lines = enumerate(lines_of(decoded(path, self.options.encoding)), start=1)
        paragraphs = _paragraphs(lines)
        units = (
            paragraphs
            if self.options.unit == "paragraph"
            else ([line] for group in paragraphs for line in group)
        )
        examples = [(group[0][0], "\n".join(line for _, line in group)) for group in units]
        return Table(
            [{"text": text} for _, text in examples],
            [f"{path.name}:{number}" for number, _ in examples],
        )

    def header(self, path: Path) -> Sequence[str]:
        """Always ``text``."""
        return ("text",)


def _paragraphs(lines: Iterator[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    for has_text, group in groupby(lines, key=lambda line: bool(line[1].strip())):
        if has_text:
            yield list(group)
