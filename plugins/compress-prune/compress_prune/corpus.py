"""How often a corpus needs each token."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from compress.errors import UsageError
from compress.processor import TextProcessor
from compress.stage import Context

_ROWS = 1000
"""Rows whose features are in memory at once."""
_WHOLE = 1 << 24
"""Tokens that no text has: texts of a file are not cut."""


def count_rows(context: Context[Any], processor: TextProcessor) -> Counter[int]:
    """How often each token is in the training split, as the model reads it; also in what it is to
    write, if the task's answers are written."""
    assert context.data is not None, "the stage needs data"
    task, rows, counts = context.task, context.data.rows("train"), Counter[int]()
    names = ("input_ids", "labels") if task.generates() else ("input_ids",)
    for start in range(0, len(rows), _ROWS):
        some = [rows[i] for i in range(start, min(start + _ROWS, len(rows)))]
        for features in task.features(some, processor):
            for name in names:
                counts.update(each for each in features.get(name, ()) if each >= 0)
        context.progress(start + len(some), len(rows), "counting tokens")
    return counts


def count_file(file: Path, column: str | None, processor: TextProcessor) -> Counter[int]:
    """How often each token is in the texts of a file. Raises UsageError for a file that cannot be
    read so."""
    counts = Counter[int]()
    texts = _texts(file, column)
    while some := list(islice(texts, _ROWS)):
        for encoding in processor.encode(some, max_length=_WHOLE):
            counts.update(encoding.ids)
    return counts


def _texts(file: Path, column: str | None) -> Iterator[str]:
    """The texts of a file: one of each line, or of each row's ``column``."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            if column is None:
                yield from (line.rstrip("\r\n") for line in stream)
            else:
                yield from _column(stream, file, column)
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"texts: {file} cannot be read: {error}") from error


def _column(stream: Iterable[str], file: Path, column: str) -> Iterator[str]:
    rows: Iterable[Any]
    if file.suffix == ".jsonl":
        rows = (json.loads(line) for line in stream if line.strip())
    else:
        rows = csv.DictReader(stream, delimiter="\t" if file.suffix == ".tsv" else ",")
    for number, row in enumerate(rows, 1):
        text = row.get(column) if isinstance(row, dict) else None
        if not isinstance(text, str):
            raise UsageError(f"texts: row {number} of {file} has no text in the column {column!r}")
        yield text
