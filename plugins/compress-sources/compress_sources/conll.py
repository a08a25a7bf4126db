"""CoNLL files: one token a line, with its columns, and a blank line between sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from pydantic import Field

from compress.errors import Mistake, UsageError
from compress.source import Table
from compress_sources.files import FileSource, TextFiles, decoded, lines_of

DOCUMENT = "-DOCSTART-"
_SPACES = re.compile(r"[ \t]+")  # not \s: a no-break space may be part of a token

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
    """Sentences of CoNLL files as ``tokens`` and ``tags``; the tags keep the file's scheme.

    The layout is that of the CoNLL-2003 shared task (Tjong Kim Sang and De Meulder, 2003,
    section 2.2)."""

    name = "conll"
    summary = "a token and its tag a line, a blank line after each sentence"
    Options = ConllOptions
    suffixes = (".conll",)

    def table(self, path: Path, split: str) -> Table:
        """One row for each sentence; its place is that of the first token. ``-DOCSTART-``
        lines end a sentence too."""
        sentences = list(_sentences(decoded(path, self.options.encoding)))
        if not sentences:
            return Table([], [])
        width = len(sentences[0][0][1])
        token, tag = self._columns(path, width)
        ragged = _ragged(path, sentences, width)
        if ragged:
            raise UsageError(ragged)
        rows, places = [], []
        for sentence in sentences:
            tokens = [columns[token] for _, columns in sentence]
            tags = [columns[tag] for _, columns in sentence]
            rows.append({"tokens": tokens, "tags": tags})
            places.append(f"{path.name}:{sentence[0][0]}")
        return Table(rows, places)

    def header(self, path: Path, split: str) -> Sequence[str]:
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
            message = f"token and tag are the same of the file's {width} columns"
            raise UsageError([Mistake(str(path), message, "set token_column and tag_column")])
        return token, tag


def _ragged(path: Path, sentences: list[list[Line]], width: int) -> list[Mistake]:
    """A mistake for each line that does not have ``width`` columns."""
    mistakes = []
    for number, columns in chain.from_iterable(sentences):
        if len(columns) != width:
            message = f"{len(columns)} columns where the first line has {width}"
            mistakes.append(Mistake(f"{path}:{number}", message))
    return mistakes


def _sentences(text: str) -> Iterator[list[Line]]:
    sentence: list[Line] = []
    for number, line in enumerate(lines_of(text), start=1):
        columns = line.strip(" \t")
        if columns and not columns.startswith(DOCUMENT):
            sentence.append((number, _SPACES.split(columns)))
        elif sentence:
            yield sentence
            sentence = []
    if sentence:
        yield sentence
