"""Prepared data: a source's rows, normalised for a task and checked once, stored in Arrow files
with their labels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from compress.errors import CompressError, UsageError
from compress.rowfiles import ArrowRows, write_rows
from compress.rows import Columns, Row, length_of
from compress.source import Source
from compress.store.namedfiles import named_files
from compress.store.rowmistakes import RowMistakes
from compress.store.splitchecks import split_mistakes
from compress.store.splits import Split, known_labels, read_splits
from compress.store.summary import DataSummary, Summarising
from compress.task import RowError, Task

CONTENTS = "data.json"
_SUMMARY = "summary.json"
_FILES = "files.json"
"""The files that rows name, with their digests: data with another content have another digest."""


@dataclass(frozen=True)
class Contents:
    """The content of ``data.json``: label names in order (none for a task without labels), and rows
    by split."""

    labels: Sequence[str]
    sizes: Mapping[str, int]


@dataclass(frozen=True)
class Prepared:
    """Data in a folder; ``digest`` identifies the content."""

    folder: Path
    digest: str

    @cached_property
    def contents(self) -> Contents:
        """The labels and sizes."""
        return Contents(**json.loads((self.folder / CONTENTS).read_text(encoding="utf-8")))

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in order; empty for a task without labels."""
        return tuple(self.contents.labels)

    @cached_property
    def summary(self) -> DataSummary:
        """What was counted when the data were prepared."""
        return DataSummary.model_validate_json((self.folder / _SUMMARY).read_bytes())

    def rows(self, split: str) -> Sequence[Row]:
        """Rows of a split with their ``id``, made when they are read; none if there is no such
        split."""
        if split not in self._rows:
            self._rows[split] = ArrowRows(self.folder / f"{split}.arrow", split)
        return self._rows[split]

    @cached_property
    def _rows(self) -> dict[str, Sequence[Row]]:
        """The splits that were asked for."""
        return {}


def prepare(source: Source[Any], task: Task[Any], folder: Path, seed: int = 0) -> None:
    """Write the prepared data of ``source`` for ``task`` into ``folder``. ``seed`` draws the rows
    where the source's options limit them. Some rows at a time are in memory.

    Raises UsageError with a Mistake for each row that cannot be used, each split that is empty, and
    each column that is missing."""
    options = source.options
    whole = read_splits(source, task)
    refused = split_mistakes(whole, task, options.labels)
    if refused:
        raise UsageError(refused)
    # Of all rows: a few drawn ones need not have every label.
    labels = _labels(whole, options.labels, task)
    summarising, mistakes = Summarising(task, labels), RowMistakes()
    sizes: dict[str, int] = {}
    files: dict[str, str] = {}
    for name, all_rows in whole.items():
        split = all_rows.drawn(options.rows_of(name), seed)
        if source.names_files:
            files |= named_files(source, split, mistakes)
        normalised = summarising.watch(split, _normalised(split, task, labels, mistakes))
        written = write_rows(folder / f"{name}.arrow", map(task.gathered, normalised))
        sizes[name] = len(written)
        summarising.made(name, sizes[name])
    mistakes.raise_any()
    if source.names_files:
        (folder / _FILES).write_text(json.dumps(files, indent=2) + "\n", encoding="utf-8")
    contents = json.dumps(asdict(Contents(labels, sizes)), indent=2, ensure_ascii=False)
    (folder / _SUMMARY).write_text(summarising.summary().model_dump_json(indent=2) + "\n", "utf-8")
    (folder / CONTENTS).write_text(contents + "\n", encoding="utf-8")


def _labels(
    splits: Mapping[str, Split], declared: Sequence[str] | None, task: Task[Any]
) -> Sequence[str]:
    """The task's label names in order. Raises UsageError if the splits have none that it can
    use."""
    known = known_labels(splits) if declared is None else declared
    try:
        return task.labels({name: split.chunks() for name, split in splits.items()}, known)
    except RowError as error:
        raise UsageError(str(error)) from error


def _normalised(
    split: Split, task: Task[Any], labels: Sequence[str], mistakes: RowMistakes
) -> Iterator[Columns]:
    """The normalised columns of some rows at a time, up to the first row of any split that cannot
    be used; the mistakes of all such rows are added."""
    start = 0
    for columns in split.chunks():
        try:
            made = task.normalise(columns, labels)
        except RowError as error:
            mistakes.look_for(split, start, columns, task, labels, error)
        else:
            _refuse_other_number(columns, made, task)
            mistakes.good += length_of(columns)
            if not mistakes.count:
                yield made
        start += length_of(columns)
    mistakes.end_of(split)


def _refuse_other_number(columns: Columns, made: Columns, task: Task[Any]) -> None:
    """Raise CompressError where a task gives another number of rows than it got."""
    found = {len(cells) for cells in made.values()}
    if found != {length_of(columns)}:
        raise CompressError(
            f"task {task.name}: normalise got {length_of(columns)} rows, and gave columns of "
            f"{', '.join(map(str, sorted(found))) or 'none'}: give one cell for each row"
        )
