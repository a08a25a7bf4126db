"""CoNLL files: a token a line with its columns, sentences parted by blank lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from pydantic import Field

from compress.errors import Mistake, UsageError
from compress.source import Table
from compress_sources.files import FileSource, TextFiles, decoded, lines_of

DOCUMENT = "-DOCSTART-"
_SPACES = re.compile(r"[ \t]+")  # not \s: a no-break space may stand inside a token

Line = tuple[int, list[str]]
"""A token's line number and its columns."""


class ConllOptions(TextFiles):
    """Options of CoNLL files."""

    token_column: int = Field(
        default=0, description="Column of the token: from 0, or from the end where negative."
    )
    tag_column: int = Field(
        default=-1, description="Column of the tag: from 0, or from the end where negative."
    )


class Conll(FileSource[ConllOptions]):
    """Sentences of CoNLL files as ``tokens`` and ``tags``, the tags in the scheme in which the file
    has them.

    The layout is that of the CoNLL-2003 shared task (Tjong Kim Sang and De Meulder, 2003, section
    2.2)."""

    name = "conll"
    summary = "a token and its tag a line, a blank line after each sentence"
    Options = ConllOptions
    suffixes = (".conll",)

    def table(self, path: Path) -> Table:
        """One row for each sentence, its place that of the first token; ``-DOCSTART-`` lines part
        sentences too."""
        sentences = list(_sentences(decoded(path, self.options.encoding)))
        if not sentences:
            return Table([], [])
        width = len(sentences[0][0][1])
        token, tag = self._columns(path, width)
        ragged = [
            Mistake(f"{path}:{number}", f"{len(columns)} columns where the first line has {width}")
            for sentence in sentences
            for number, columns in sentence
            if len(columns) != width
        ]
        if ragged:
            raise UsageError(ragged)
        rows = [
            {
                "tokens": [line[token] for _, line in sentence],
                "tags": [line[tag] for _, line in sentence],
            }
            for sentence in sentences
        ]
        return Table(rows, [f"{path.name}:{sentence[0][0]}" for sentence in sentences])

    def header(self, path: Path) -> Sequence[str]:
        """Always ``tokens`` and ``tags``."""
        return ("tokens", "tags")

    def _columns(self, path: Path, width: int) -> tuple[int, int]:
        chosen = {"token_column": self.options.token_column, "tag_column": self.options.tag_column}
        absent = [
            Mistake(str(path), f"{name} is {index}, and the file has {width} columns")
            for name, index in chosen.items()
            if not -width <= index < width
        ]
        if absent:
            raise UsageError(absent)
        token, tag = (index % width for index in chosen.values())
        if token == tag:
            raise UsageError(
                [
                    Mistake(
                        str(path),
                        f"token and tag are the same of the file's {width} columns",
                        "set token_column and tag_column",
                    )
                ]
            )
        return token, tag


def _sentences(text: str) -> Iterator[list[Line]]:
    lines = ((number, line.strip(" \t")) for number, line in enumerate(lines_of(text), start=1))
    for is_token, group in groupby(
        lines, key=lambda line: bool(line[1]) and not line[1].startswith(DOCUMENT)
    ):
        if is_token:
            yield [(number, _SPACES.split(line)) for number, line in group]
