"""The files that rows name, such as audio."""

from __future__ import annotations

from typing import Any

from compress.artifact import sha256_file
from compress.source import Source
from compress.store.rowmistakes import RowMistakes
from compress.store.splits import Split


def named_files(source: Source[Any], split: Split, mistakes: RowMistakes) -> dict[str, str]:
    """The sha256 of each file that the rows of a split name, by its path. A row with a file that
    does not exist is added to the mistakes."""
    found: dict[str, str] = {}
    for number, row in enumerate(split.rows):
        for file in source.files(row):
            if not file.is_file():
                mistakes.add(split, number, f"it names the file {file}, which does not exist")
            elif str(file) not in found:
                found[str(file)] = sha256_file(file)
    return found
