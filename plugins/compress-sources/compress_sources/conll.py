"""CoNLL files: one token a line, with its columns, and a blank line between sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from pydantic import Field

from compress.errors import Mistake, UsageError
from compress.source import Table
from compress_sources.decoding import lines_of, opened
from compress_sources.files import FileSource, TextFiles
from compress_sources.spooling import Numbered, table_of

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
    suffixes = (".conll", ".conll.gz")

    def table(self, path: Path, split: str) -> Table:
        """One row for each sentence; its place is that of the first token. ``-DOCSTART-``
        lines end a sentence too."""
        with opened(path, self.options.encoding) as text:
            sentences = _sentences(lines_of(text))
            first = next(sentences, None)
            if first is None:
                return Table([], [])
            width = len(first[0][1])
            token, tag = self._columns(path, width)
            whole = _of_width(path, width, chain([first], sentences))
            return table_of(path, ("tokens", "tags"), _rows(whole, token, tag))

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


def _rows(sentences: Iterable[list[Line]], token: int, tag: int) -> Numbered:
    """The line of each sentence's first token, its tokens and its tags."""
    for sentence in sentences:
        tokens = [columns[token] for _, columns in sentence]
        yield sentence[0][0], (tokens, [columns[tag] for _, columns in sentence])


def _of_width(path: Path, width: int, sentences: Iterable[list[Line]]) -> Iterator[list[Line]]:
    """The sentences up to the first one with a line that has not ``width`` columns. Raises
    UsageError with all such lines at the end."""
    ragged = []
    for sentence in sentences:
        for number, columns in sentence:
            if len(columns) != width:
                message = f"{len(columns)} columns where the first line has {width}"
                ragged.append(Mistake(f"{path}:{number}", message))
        if not ragged:
            yield sentence
    if ragged:
        raise UsageError(ragged)


def _sentences(lines: Iterable[str]) -> Iterator[list[Line]]:
    sentence: list[Line] = []
    for number, line in enumerate(lines, start=1):
        columns = line.strip(" \t")
        if columns and not columns.startswith(DOCUMENT):
            sentence.append((number, _SPACES.split(columns)))
        elif sentence:
            yield sentence
            sentence = []
    if sentence:
        yield sentence
