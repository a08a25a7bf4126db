"""Set shares of the training rows aside for validation and test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from compress.errors import Mistake, UsageError
from compress.rows import Picked
from compress.source import SPLITS, Table

GroupBy = Annotated[
    str | None,
    Field(
        description=(
            "Column of the data whose equal values stay in one split where a share of the training "
            "rows is set aside: with title, all questions of an article do."
        )
    ),
]
"""The option that keeps rows together."""


def with_shares(
    tables: Mapping[str, Table], shares: Mapping[str, float], group_by: str | None = None
) -> dict[str, Table]:
    """The tables in the order of ``SPLITS``, with the splits that are shares of the training
    rows. The test rows are set aside first; a validation share is one of the rows that are
    left. Rows with one value in the column ``group_by`` stay together."""
    whole = dict(tables)
    for split in reversed(SPLITS):
        if split in shares:
            aside = _aside(whole["train"], shares[split], split, group_by)
            whole["train"], whole[split] = (
                _part(whole["train"], ~aside),
                _part(whole["train"], aside),
            )
    return {split: whole[split] for split in SPLITS if split in whole}


def _aside(table: Table, share: float, split: str, group_by: str | None) -> np.ndarray:
    """Which rows are set aside for ``split``, bool [rows]: about ``share`` (0 to 1) of them.

    They are those with the lowest sha256 of their content, or of their group. So the same rows are
    chosen each time, whatever their order. Equal rows are on one side: a copy of a training row in
    another split would flatter the model. Raises UsageError if one side would be empty."""
    rows = table.rows if group_by is None else _groups(table, group_by)
    digests = np.fromiter(map(_digest, rows), np.uint64, len(table.rows))
    ordered = np.sort(digests)
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    if group_by is None:
        count = round(share * len(starts))
    else:  # groups have different sizes
        count = max(1, int(np.abs(starts - share * len(ordered)).argmin()))
    if not 0 < count < len(starts):
        things = "different training rows" if group_by is None else f"values of {group_by}"
        raise UsageError(
            f"{split}: a share of {share:g} of {len(starts)} {things} leaves one side empty; name "
            f"a {split} file or change the share"
        )
    return np.asarray(digests < ordered[starts[count]])


def _groups(table: Table, column: str) -> Iterator[Mapping[str, Any]]:
    """The cell of each row by which rows stay together. Raises UsageError where there is none."""
    for place, row in enumerate(table.rows):
        if row.get(column) is None:
            message = f"the row has no {column!r}, by which rows are grouped"
            raise UsageError([Mistake(table.places[place], message, "change group_by")])
        yield {column: row[column]}


_ENCODE = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=repr).encode


def _digest(row: Mapping[str, Any]) -> int:
    """The first 64 bits of the sha256 of a row's content, which order rows as all bits do."""
    # repr is for what JSON lacks, such as a date or bytes of a parquet file.
    text = _ENCODE(row).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8])


def _part(table: Table, chosen: np.ndarray) -> Table:
    """The rows of which ``chosen``, bool [rows], is true."""
    places = np.flatnonzero(chosen)
    return Table(Picked(table.rows, places), Picked(table.places, places), table.label_names)
