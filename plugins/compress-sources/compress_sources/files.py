"""The common part of all sources of files: which files there are, how bytes become text,
and how mistakes are reported."""

from __future__ import annotations

import codecs
import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, field_validator, model_validator

from compress.artifact import sha256_file
from compress.errors import Mistake, UsageError, first_line
from compress.rows import Mapped, Row
from compress.source import SPLITS, FileOptions, Source, Table
from compress_sources.share import GroupBy, with_shares

LISTED = 20
"""Mistakes that are listed one by one; the others are counted."""
_NOT_OF_TEXTS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})
"""Codecs that Python counts among the text encodings, and in which no file of texts is saved: they
are for names of hosts and for Python's own literals."""


class SplitFiles(FileOptions):
    """File options that name at least one file; a share of the rows lies between 0 and
    1."""

    files: list[str] = Field(
        default_factory=list,
        description=(
            "Columns that hold paths of files, such as audio; relative ones start at the folder of "
            "the file that holds the rows."
        ),
    )

    group_by: GroupBy = None

    @field_validator("validation", "test")
    @classmethod
    def _is_a_share(cls, value: str | float | None) -> str | float | None:
        if isinstance(value, float) and not 0 < value < 1:
            raise ValueError(f"expected a file or a share between 0 and 1, not {value:g}")
        return value

    @model_validator(mode="after")
    def _names_a_file(self) -> SplitFiles:
        for split in self.shares:
            if self.train is None:
                raise ValueError(
                    f"{split} is a share of the training rows, and no train file is named"
                )
        if not (self.train or self.validation or self.test):
            raise ValueError("no file is named: give train, validation or test")
        if self.group_by is not None and not self.shares:
            raise ValueError("group_by is for a share of the training rows, and none is set aside")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """The splits that are a share of the training rows."""
        values = {split: getattr(self, split) for split in SPLITS}
        return {split: value for split, value in values.items() if isinstance(value, float)}


class TextFiles(SplitFiles):
    """Options of files that hold text."""

    encoding: str = Field(
        default="utf-8",
        description=(
            "Character encoding: utf-8, latin-1, cp1252, ...; a byte order mark is dropped."
        ),
    )

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            "".encode(value)
            is_of_texts = codecs.lookup(value).name not in _NOT_OF_TEXTS
        except (LookupError, ValueError):  # ValueError: a character that no name can hold
            is_of_texts = False
        if not is_of_texts:
            raise ValueError(f"expected a text encoding that Python knows, not {value!r}")
        return value


O = TypeVar("O", bound=SplitFiles)


class FileSource(Source[O]):
    """One file for each split. A subclass reads one file (``table``) and its column names
    (``header``)."""

    @abstractmethod
    def table(self, path: Path, split: str) -> Table:
        """The rows of one file, or those of ``split`` where a file can hold several splits.
        Raises UsageError with a Mistake for each place that cannot be read."""

    @abstractmethod
    def header(self, path: Path, split: str) -> Sequence[str]:
        """Column names of one file (or of its ``split``), read from its beginning; empty if
        they cannot be read there."""

    def identity(self) -> Mapping[str, Any]:
        """The sha256 of each file, and the options that shape rows. Paths are not part of
        it: a moved file is the same data."""
        options = self.options.model_dump(mode="json", exclude=set(SPLITS))
        options |= self.options.shares
        files = {}
        for split, path in self._files().items():
            with told_by_name(path):
                files[split] = sha256_file(path)
        identity = {"source": self.name, "files": files, "options": options}
        return {**identity, "named": self._named_digest()} if self.names_files else identity

    @property
    def names_files(self) -> bool:
        """Whether the option ``files`` names a column."""
        return bool(self.options.files)

    def files(self, row: Row) -> Sequence[Path]:
        """The paths in the columns of the option ``files``."""
        cells = [row.get(name) for name in self.options.files]
        return [Path(cell) for cell in cells if isinstance(cell, str) and cell]

    def _named_digest(self) -> str:
        """A digest of the contents of all files that rows name, in their order. It leaves out
        those that do not exist: ``prepare`` tells them with their rows."""
        digest = hashlib.sha256()
        for table in self.read().values():
            for row in table.rows:
                for file in self.files(row):
                    digest.update(sha256_file(file).encode() if file.is_file() else b"-")
        return digest.hexdigest()

    def read(self) -> Mapping[str, Table]:
        """The tables of all files, with the shares set aside. Raises one
        UsageError with the mistakes of all files."""
        tables: dict[str, Table] = {}
        mistakes: list[Mistake] = []
        for split, path in self._files().items():
            try:
                with told_by_name(path):
                    tables[split] = self._filled(path, split)
            except UsageError as error:
                mistakes += error.mistakes
        if mistakes:
            raise UsageError(_capped(list(dict.fromkeys(mistakes))))
        return with_shares(tables, self.options.shares, self.options.group_by)

    def columns(self) -> Mapping[str, Sequence[str]]:
        """The columns of each split whose file exists and shows them at its beginning."""
        headers: dict[str, Sequence[str]] = {}
        for split, path in self._named().items():
            with told_by_name(path):
                headers[split] = self.header(path, split) if path.is_file() else ()
        if headers.get("train"):
            headers |= dict.fromkeys(self.options.shares, headers["train"])
        return {split: headers[split] for split in SPLITS if headers.get(split)}

    def _named(self) -> dict[str, Path]:
        values = {split: getattr(self.options, split) for split in SPLITS}
        return {split: Path(value) for split, value in values.items() if isinstance(value, str)}

    def _files(self) -> dict[str, Path]:
        files = self._named()
        missing = [
            Mistake(str(path), "there is no such file", f"it is the data's {split} file")
            for split, path in files.items()
            if not path.is_file()
        ]
        if missing:
            raise UsageError(missing)
        return files

    def _filled(self, path: Path, split: str) -> Table:
        table = self.table(path, split)
        if not table.rows:
            raise UsageError([Mistake(str(path), "the file holds no rows")])
        if not self.names_files:
            return table
        missing = [name for name in self.options.files if name not in table.rows[0]]
        if missing:
            message = f"its first row has no column {missing[0]!r}, which files names"
            raise UsageError([Mistake(str(path), message)])
        absolute = partial(_with_paths, self.options.files, path.resolve().parent)
        return replace(table, rows=Mapped(absolute, table.rows))


def _with_paths(columns: Sequence[str], folder: Path, row: Row) -> Row:
    """The row with absolute paths in these columns."""
    texts = [name for name in columns if isinstance(row.get(name), str) and row[name]]
    return {**row, **{name: str(folder / row[name]) for name in texts}}


@contextmanager
def told_by_name(path: Path) -> Iterator[None]:
    """Raise UsageError with the file's name where the system refuses it."""
    try:
        yield
    except OSError as error:
        message = f"cannot be read: {error.strerror or first_line(error)}"
        raise UsageError([Mistake(str(path), message)]) from error


def told(mistakes: list[Mistake], *, any_row_fits: bool) -> list[Mistake]:
    """The mistakes of a file's rows as the user is told them: the first alone where no row fits,
    for then the file has another shape than the options say."""
    if any_row_fits or len(mistakes) < 2:
        return mistakes
    first = mistakes[0]
    return [Mistake(first.where, f"{first.message}; no other row fits either", first.hint)]


def _capped(mistakes: list[Mistake]) -> list[Mistake]:
    rest = len(mistakes) - LISTED
    return mistakes if rest <= 0 else [*mistakes[:LISTED], Mistake("data", f"and {rest} more")]
