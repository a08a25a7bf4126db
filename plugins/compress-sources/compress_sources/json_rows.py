"""JSON: a list of rows, one row a line, or one object that holds a list of rows for each
split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import Field

from compress.errors import Mistake, UsageError, did_you_mean, listed
from compress.source import Table
from compress_sources.decoding import decoded, head, lines_of, opened
from compress_sources.files import FileSource, TextFiles
from compress_sources.json_items import SHAPES, RowChecks, row_of, table_of_lines
from compress_sources.json_text import (
    Item,
    UnreadableValue,
    after_space,
    list_items,
    position_of_list,
    read_value,
    unreadable,
)
from compress_sources.nested import nested_rows, nested_table
from compress_sources.own_splits import OwnSplits
from compress_sources.spooling import Lines

_NO_OBJECT = "splits are for a file that is one object: leave them out"
_LISTED = 10
"""Keys of an object that a message lists."""


class JsonOptions(TextFiles):
    """Options of JSON files."""

    splits: OwnSplits = Field(
        default_factory=dict,
        description=(
            "For a file that is one object: our split to the key that holds its rows, such as "
            "{validation: dev} or {train: data.train}. The default is the split's own name. Keys "
            "after that of a list lead to lists inside of its items: {train: data.paragraphs.qas} "
            "gives the questions of SQuAD, each with the keys around it."
        ),
    )


class Json(FileSource[JsonOptions]):
    """Rows of JSON files: objects, or lists whose items are the columns 0, 1, 2, ...

    A file whose first character is ``[`` is a list. Any other is one object where ``splits`` says
    so, or where its first line is no value by itself or is the only one and holds the split. Else
    it has one row a line."""

    name = "json"
    summary = "a JSON list of rows, JSON lines, or an object with a list for each split"
    Options = JsonOptions
    suffixes = (".json", ".jsonl", ".json.gz", ".jsonl.gz")

    def table(self, path: Path, split: str) -> Table:
        """One row for each object or list, with the values' own types."""
        if self._is_by_line(path):
            with opened(path, self.options.encoding) as text:
                return table_of_lines(path, lines_of(text))
        whole = decoded(path, self.options.encoding)
        items, keys = self._items(whole, path, split)
        return nested_table(path, items, keys) if keys else _table(path, items)

    def header(self, path: Path, split: str) -> Sequence[str]:
        """The columns of the first row, where it ends within the first 64 KiB."""
        text = head(path, self.options.encoding)
        try:
            start, keys = self._start_of_rows(text, split)
            value, _ = read_value(text, start)
        except UnreadableValue:
            return ()
        _, row = next(nested_rows(value, keys, ""), ("", None))
        return list(row_of(row)) if isinstance(row, dict | list) else ()

    def _start_of_rows(self, text: str, split: str) -> tuple[int, Sequence[str]]:
        """The position of the first item in the beginning of a file, and the keys that lead from it
        to rows. Raises UnreadableValue where it is not there."""
        start = after_space(text, 0)
        if text.startswith("[", start):
            return after_space(text, start + 1), ()
        if not self.options.splits and _has_a_row_a_line(
            list(lines_of(StringIO(text, newline="")))
        ):
            return start, ()
        found = _list_of(text, self._keys(split))
        if found is None:
            raise UnreadableValue("the rows are not there", start)
        opening, keys = found
        return after_space(text, opening + 1), keys

    def _keys(self, split: str) -> list[str]:
        """The keys that lead to the rows of a split in a file that is one object."""
        return self.options.splits.get(split, split).split(".")

    def _is_by_line(self, path: Path) -> bool:
        """Whether a file has one row a line. Its first two lines tell."""
        with opened(path, self.options.encoding) as text:
            filled = (line for line in lines_of(text) if line.strip())
            first = list(islice(filled, 2))
        if self.options.splits or (first and first[0].lstrip().startswith("[")):
            return False
        return not _is_one_object(first)

    def _items(self, text: str, path: Path, split: str) -> tuple[Iterator[Item], Sequence[str]]:
        """The items of a file that is a list or an object, and the keys that lead from each to
        its rows; none where it is a row itself."""
        start = after_space(text, 0)
        if text.startswith("[", start):
            return list_items(text, start, str(path), SHAPES, is_whole=True), ()
        opening, keys = self._opening(text, path, split)
        return list_items(text, opening, str(path), SHAPES, is_whole=False), keys

    def _opening(self, text: str, path: Path, split: str) -> tuple[int, Sequence[str]]:
        """The position of a split's list in a text that is one object, and the keys that lead from
        its items to rows. Raises UsageError where there is no list."""
        whole = self._whole_object(text, path)
        keys = self._keys(split)
        for path_of_keys in (keys, _nested_keys(whole, keys)):
            found = _list_of(text, path_of_keys)
            if found is not None:
                return found
        raise UsageError([_no_list(path, whole, keys, split)])

    def _whole_object(self, text: str, path: Path) -> Mapping[str, Any]:
        """The object that a text is. Raises UsageError where it is anything else."""
        hint = _NO_OBJECT if self.options.splits else SHAPES
        try:
            whole, end = read_value(text, after_space(text, 0))
        except UnreadableValue as error:
            raise UsageError([unreadable(text, error, str(path), SHAPES)]) from error
        if not isinstance(whole, dict):
            raise UsageError([Mistake(str(path), "the file is not one object", hint)])
        after = after_space(text, end)
        if after != len(text):
            extra = UnreadableValue("text after the object's end", after)
            raise UsageError([unreadable(text, extra, str(path), hint)])
        return whole


def _table(path: Path, items: Iterator[Item]) -> Table:
    """One row for each item."""
    checks, places, rows = RowChecks(path), Lines(path), []
    for line, value in items:
        if checks.is_row((line, value)):
            rows.append(row_of(value))
            places.numbers.append(line)
    checks.raise_mistakes()
    return Table(rows, places)


def _list_of(text: str, keys: Sequence[str]) -> tuple[int, Sequence[str]] | None:
    """The position of the first list that is reached by following ``keys`` from the text's outer
    object, and the keys that are left; None where they reach none."""
    for count in range(1, len(keys) + 1):
        opening = position_of_list(text, keys[:count])
        if opening is not None:
            return opening, keys[count:]
    return None


def _has_a_row_a_line(lines: Sequence[str]) -> bool:
    """Whether the first line is a row by itself."""
    filled = [line for line in lines if line.strip()]
    return bool(filled) and _is_value(filled[0]) and not _is_one_object(filled)


def _is_one_object(lines: Sequence[str]) -> bool:
    """Whether the lines together are one object and not one row each."""
    filled = [line for line in lines if line.strip()]
    if not filled or not filled[0].lstrip().startswith("{"):
        return False
    try:
        value, _ = read_value(filled[0], after_space(filled[0], 0))
    except UnreadableValue:
        return len(filled) > 1 and not _is_value(filled[1])
    return len(filled) == 1 and _holds_lists(value)


def _is_value(line: str) -> bool:
    """Whether a line is an object or a list by itself."""
    try:
        value, _ = read_value(line, after_space(line, 0))
    except UnreadableValue:
        return False
    return isinstance(value, dict | list)


def _holds_lists(value: Any) -> bool:
    """Whether an object holds a list of rows, itself or in an object of its own."""
    inner = list(value.values()) if isinstance(value, dict) else []
    for one in list(inner):
        inner += one.values() if isinstance(one, dict) else []
    return any(isinstance(one, list) and one and isinstance(one[0], dict | list) for one in inner)


def _nested_keys(whole: Any, keys: Sequence[str]) -> list[str]:
    """The keys with the one outer key before them under which they stand; themselves where there is
    not exactly one."""
    outer = [key for key, value in whole.items() if isinstance(value, dict) and keys[0] in value]
    return [*outer, *keys] if len(outer) == 1 else list(keys)


def _no_list(path: Path, whole: Mapping[str, Any], keys: Sequence[str], split: str) -> Mistake:
    """The mistake that an object holds no list of a split's rows."""
    known = list(whole)
    shown = listed(known[:_LISTED]) + (", ..." if len(known) > _LISTED else "")
    message = (
        f"the file is one object with the keys {shown}, and {'.'.join(keys)} is no list of rows"
    )
    hint = did_you_mean(keys[0], known) or f"name the key of the rows: splits: {{{split}: KEY}}"
    return Mistake(str(path), message, hint)
