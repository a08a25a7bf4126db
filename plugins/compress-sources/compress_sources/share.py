"""Set shares of the training rows aside for validation and test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from compress.errors import UsageError
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
    digests = [_digest(row) for row in table.rows]
    distinct = sorted(set(digests))
    count = round(share * len(distinct))
    if not 0 < count < len(distinct):
        raise UsageError(
            f"{split}: a share of {share:g} of {len(distinct)} different training rows leaves "
            f"one side empty; name a {split} file or change the share"
        )
    chosen = set(distinct[:count])
    kept = _part(table, (i for i, digest in enumerate(digests) if digest not in chosen))
    return kept, _part(table, (i for i, digest in enumerate(digests) if digest in chosen))


def _digest(row: Mapping[str, Any]) -> bytes:
    # repr is for what JSON lacks, such as a date or bytes of a parquet file.
    text = json.dumps(row, sort_keys=True, ensure_ascii=False, default=repr)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _part(table: Table, indices: Iterable[int]) -> Table:
    chosen = list(indices)
    rows = [table.rows[i] for i in chosen]
    return Table(rows, [table.places[i] for i in chosen], table.label_names)
