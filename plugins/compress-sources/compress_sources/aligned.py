"""Aligned text files: each line of one file belongs to the same line of another, as corpora of
translations have them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from compress.artifact import sha256_file
from compress.errors import Mistake, UsageError
from compress.source import Table
from compress_sources.decoding import lines_of, opened
from compress_sources.files import FileSource, TextFiles, told_by_name
from compress_sources.spooling import Numbered, table_of

_COLUMNS = ("source", "target")


class AlignedOptions(TextFiles):
    """Options of aligned text files."""

    languages: list[str] = Field(
        description=(
            "The part of a file's name that says its language: that of the sources, which the "
            "splits name, and that of the targets. With [en, de] train.en.gz goes with train.de.gz."
        ),
    )

    @field_validator("languages")
    @classmethod
    def _are_two(cls, value: list[str]) -> list[str]:
        if len(value) != 2 or value[0] == value[1] or not all(value):
            raise ValueError(f"expected the two languages, such as [en, de], not {value}")
        return value


class Aligned(FileSource[AlignedOptions]):
    """Pairs of lines with the same number, in the columns ``source`` and ``target``. A split names
    the file of the sources; that of the targets stands beside it."""

    name = "aligned"
    summary = "two text files, of which equal lines belong together, as in corpora of translations"
    Options = AlignedOptions

    def identity(self) -> Mapping[str, Any]:
        """The sha256 of the files of both languages, and the options."""
        identity = dict(super().identity())
        targets = {}
        for split, path in self._files().items():
            with told_by_name(self._beside(path)):
                targets[split] = sha256_file(self._beside(path))
        return {**identity, "targets": targets}

    def table(self, path: Path, split: str) -> Table:
        """One row for each line, also where it is blank: what is left out of one file alone would
        move all that follows. Raises UsageError where one file has more lines."""
        other = self._beside(path)
        encoding = self.options.encoding
        with told_by_name(other), opened(path, encoding) as own, opened(other, encoding) as theirs:
            pairs = zip_longest(lines_of(own), lines_of(theirs))
            return table_of(path, _COLUMNS, _numbered(path, other, pairs))

    def header(self, path: Path, split: str) -> Sequence[str]:
        """Always ``source`` and ``target``."""
        return _COLUMNS

    def _beside(self, path: Path) -> Path:
        """The file of the targets. Raises UsageError where there is none."""
        first, second = self.options.languages
        name, places = _other_name(path.name, first, second)
        if places != 1:
            message = f"its name has the part {first!r} {places} times, and it must have it once"
            raise UsageError([Mistake(str(path), message, "languages: [SOURCE, TARGET]")])
        other = path.with_name(name)
        if not other.is_file():
            message = f"there is no file {other.name} beside it, for its {second} lines"
            raise UsageError([Mistake(str(path), message, "languages: [SOURCE, TARGET]")])
        return other


def _other_name(name: str, first: str, second: str) -> tuple[str, int]:
    """A file's name with one language in place of the other, and how often the other is a part of
    it: ``val.en.gz`` has the parts ``val``, ``en`` and ``gz``."""
    parts = re.split(r"([._-])", name)
    return "".join(second if part == first else part for part in parts), parts.count(first)


def _numbered(path: Path, other: Path, pairs: Iterator[tuple[str | None, str | None]]) -> Numbered:
    """The pairs with the numbers of their lines."""
    for number, (own, theirs) in enumerate(pairs, start=1):
        if own is None or theirs is None:
            shorter, longer = (path, other) if own is None else (other, path)
            message = (
                f"{longer.name} goes on, and {shorter.name} ends after {number - 1} lines: each "
                "line must have one of its own in the other file"
            )
            raise UsageError([Mistake(f"{longer}:{number}", message)])
        yield number, (own, theirs)
