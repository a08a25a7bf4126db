"""Set a share of the training rows aside for validation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from compress.errors import UsageError
from compress.source import Table


def set_aside(table: Table, share: float) -> tuple[Table, Table]:
    """(rows for training, rows for validation): about ``share`` (0 to 1) of the rows are
    set aside, and both parts keep their order.

    Of the distinct rows, those with the lowest sha256 of their content are set aside. So
    the same rows are chosen each time, whatever their order. Equal rows are on one side: a
    copy of a training row in the validation split would flatter the model. Raises
    UsageError if one side would be empty."""
    digests = [_digest(row) for row in table.rows]
    distinct = sorted(set(digests))
    count = round(share * len(distinct))
    if not 0 < count < len(distinct):
        raise UsageError(
            f"validation: a share of {share:g} of {len(distinct)} different training rows leaves "
            "one side empty; name a validation file or change the share"
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
