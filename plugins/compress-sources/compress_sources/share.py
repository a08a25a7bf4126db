"""Set shares of the training rows aside for validation and test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from compress.errors import UsageError
from compress.rows import Picked
from compress.source import SPLITS, Table


def with_shares(tables: Mapping[str, Table], shares: Mapping[str, float]) -> dict[str, Table]:
    """The tables in the order of ``SPLITS``, with the splits that are shares of the training
    rows. The test rows are set aside first; a validation share is one of the rows that are
    left."""
    whole = dict(tables)
    for split in reversed(SPLITS):
        if split in shares:
            whole["train"], whole[split] = _set_aside(whole["train"], shares[split], split)
    return {split: whole[split] for split in SPLITS if split in whole}


def _set_aside(table: Table, share: float, split: str) -> tuple[Table, Table]:
    """(rows for training, rows for ``split``): about ``share`` (0 to 1) of the rows are set
    aside, and both parts keep their order.

    Of the distinct rows, those with the lowest sha256 of their content are set aside. So
    the same rows are chosen each time, whatever their order. Equal rows are on one side: a
    copy of a training row in another split would flatter the model. Raises
    UsageError if one side would be empty."""
    digests = np.fromiter(map(_digest, table.rows), np.uint64, len(table.rows))
    ordered = np.sort(digests)
    distinct = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    count = round(share * len(distinct))
    if not 0 < count < len(distinct):
        raise UsageError(
            f"{split}: a share of {share:g} of {len(distinct)} different training rows leaves "
            f"one side empty; name a {split} file or change the share"
        )
    aside = digests < distinct[count]
    return _part(table, ~aside), _part(table, aside)


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
