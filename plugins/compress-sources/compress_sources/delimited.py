"""Comma- and tab-separated files."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import ClassVar, Literal, TextIO

from pydantic import Field

from compress.errors import Mistake, UsageError, shortened
from compress.source import Table
from compress_sources.decoding import HEAD, head, opened
from compress_sources.files import FileSource, TextFiles, told
from compress_sources.spooling import OtherWidth, table_of

_QUOTING: dict[str, Literal[0, 3]] = {"minimal": csv.QUOTE_MINIMAL, "none": csv.QUOTE_NONE}
_LONGEST_FIELD = 1 << 30  # csv's default, 128 Ki characters, is less than a long document

Record = tuple[int, list[str]]
"""The line on which a record starts, and its fields."""


class DelimitedOptions(TextFiles):
    """Options of csv and tsv files."""

    header: bool = Field(
        default=True,
        description=(
            "Whether the first line names the columns; without it they are named 0, 1, 2, ..."
        ),
    )
    quoting: Literal["minimal", "none"] = Field(
        default="minimal",
        description=(
            "minimal: a field that starts with a quote ends at the next one; none: a quote is "
            "plain text."
        ),
    )


class Csv(FileSource[DelimitedOptions]):
    """Rows of comma-separated files, all values strings."""

    name = "csv"
    summary = "comma-separated files with a header line"
    Options = DelimitedOptions
    suffixes = (".csv", ".csv.gz")
    delimiter: ClassVar[str] = ","

    def table(self, path: Path, split: str) -> Table:
        """One row for each record. A record of another length than the header is a
        mistake."""
        with opened(path, self.options.encoding) as text, _long_fields():
            records = self._records(path, text)
            first = next(records, None)
            if first is None:
                return Table([], [])
            names = self._names(path, *first)
            body = records if self.options.header else chain([first], records)
            try:
                return table_of(path, names, body)
            except OtherWidth:  # all such records are looked for in a second reading
                raise UsageError(self._ragged(path, len(names))) from None

    def header(self, path: Path, split: str) -> Sequence[str]:
        """The first record's fields, or their numbers where the file has no header."""
        text = head(path, self.options.encoding)
        records = self._records(path, io.StringIO(text, newline=""))
        try:
            first = next(records, None)
        except UsageError:  # ``table`` will report it, or the record goes on beyond the head
            return ()
        return () if first is None or _is_cut(records, path) else self._columns(first[1])

    def _columns(self, first: list[str]) -> list[str]:
        return first if self.options.header else [str(i) for i in range(len(first))]

    def _names(self, path: Path, line: int, first: list[str]) -> list[str]:
        names = self._columns(first)
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            shown = [shortened(name) for name in twice]
            raise UsageError(
                [
                    Mistake(f"{path}:{line}", f"the header names {name!r} more than once")
                    for name in shown
                ]
            )
        return names

    def _ragged(self, path: Path, width: int) -> list[Mistake]:
        """A mistake for each record that has not ``width`` fields."""
        ragged, fitting = [], 0
        with opened(path, self.options.encoding) as text:
            for line, fields in islice(self._records(path, text), int(self.options.header), None):
                if len(fields) == width:
                    fitting += 1
                else:
                    message = f"{len(fields)} fields where {width} are expected"
                    ragged.append(Mistake(f"{path}:{line}", message))
        return told(ragged, any_row_fits=fitting > 0)

    def _records(self, path: Path, text: TextIO) -> Iterator[Record]:
        reader = csv.reader(
            text,
            delimiter=self.delimiter,
            quoting=_QUOTING[self.options.quoting],
            strict=True,
        )
        line = 1
        try:
            for fields in reader:
                if fields:  # a blank line has none
                    yield line, fields
                line = reader.line_num + 1
        except csv.Error as error:
            quotes = self.options.quoting == "minimal"
            hint = "with quoting: none a quote is plain text" if quotes else ""
            message = f"cannot be read as {self.name}: {error}"
            raise UsageError([Mistake(f"{path}:{line}", message, hint)]) from error


class Tsv(Csv):
    """Rows of tab-separated files, all values strings."""

    name = "tsv"
    summary = "tab-separated files with a header line"
    suffixes = (".tsv", ".tsv.gz")
    delimiter = "\t"


def _is_cut(rest: Iterator[Record], path: Path) -> bool:
    """Whether a record may go on beyond the file's head: no other follows it there.
    ``rest`` are the records that follow."""
    try:
        return next(rest, None) is None and path.stat().st_size > HEAD
    except UsageError:  # one follows
        return False


@contextmanager
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)
