"""Rows without targets, prepared from a source: what users ask of a model, as the rows that a task
makes of requests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compress.errors import Mistake, UsageError
from compress.rowfiles import write_rows
from compress.rows import Columns, Row, columns_of, length_of, rows_in
from compress.source import Source
from compress.store.prepared import CONTENTS, Contents
from compress.store.rowmistakes import RowMistakes
from compress.store.splits import Split, read_splits
from compress.task import Task

TEXT = "text"
"""The column that stands for the task's own where a source has none of them."""
_SPLIT = "train"


def prepare_unlabelled(source: Source[Any], task: Task[Any], folder: Path, seed: int = 0) -> None:
    """Write the rows of the split ``train`` into ``folder`` as ``Prepared`` reads them: what
    ``Task.request`` makes of the task's columns without its targets, or of ``text`` alone. ``seed``
    draws the rows where the source's options limit them.

    Raises UsageError with a Mistake for each row that cannot be used, and without rows."""
    split = read_splits(source, task, more=(TEXT,)).get(_SPLIT)
    if split is None or not len(split.rows):
        raise UsageError([Mistake("", "there are no rows", f"name them as {_SPLIT}")])
    drawn, mistakes = split.drawn(source.options.rows_of(_SPLIT), seed), RowMistakes()
    written = write_rows(folder / f"{_SPLIT}.arrow", _asked(drawn, task, mistakes))
    mistakes.raise_any()
    contents = json.dumps(asdict(Contents((), {_SPLIT: len(written)})), indent=2)
    (folder / CONTENTS).write_text(contents + "\n", encoding="utf-8")


def input_columns(task: Task[Any] | type[Task[Any]]) -> list[str]:
    """The task's columns that are no targets."""
    return [column.name for column in task.columns if not column.is_target]


def _asked(split: Split, task: Task[Any], mistakes: RowMistakes) -> Iterator[Columns]:
    """The columns of some rows at a time, up to the first row that cannot be used; the mistakes of
    all such rows are added."""
    start = 0
    for columns in split.chunks():
        requests = _requests(columns, task)
        try:
            made = task.request(requests)
        except UsageError:
            _look_for(split, start, requests, task, mistakes)
        else:
            mistakes.good += len(requests)
            if not mistakes.count:
                yield columns_of(made)
        start += length_of(columns)
    mistakes.end_of(split)


def _requests(columns: Columns, task: Task[Any]) -> Sequence[Row]:
    own = [name for name in input_columns(task) if name in columns]
    needed = {c.name for c in task.columns if c.required and not c.is_target}
    chosen = own if needed <= set(own) else [name for name in (TEXT,) if name in columns]
    if not chosen:
        names = " or ".join(dict.fromkeys([*sorted(needed), TEXT]))
        raise UsageError(f"the source has no {names}: map the columns with columns: ...")
    return rows_in({name: columns[name] for name in chosen})


def _look_for(
    split: Split, start: int, requests: Sequence[Row], task: Task[Any], mistakes: RowMistakes
) -> None:
    """Add the mistakes of some rows, the first of which is row ``start`` of the split."""
    for number, request in enumerate(requests, start):
        try:
            task.request([request])
            mistakes.good += 1
        except UsageError as error:
            mistakes.add(split, number, error.mistakes[0].message)
