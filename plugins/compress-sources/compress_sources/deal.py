"""Deal files to splits, so that no file's rows are in two splits and every split has
some."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}


def deal(counts: Mapping[str, int]) -> dict[str, str]:
    """The split of each file, from the number of rows of each (at least 1).

    Files are dealt from the largest to the smallest; among files of one size the sha256 of
    the name decides. Each goes to the split that lacks most of its share of the rows. The
    last files go to splits that are still empty, so with three files or more no split stays
    empty."""
    total = sum(counts.values())
    lacking = {split: share * total for split, share in SHARES.items()}
    empty = list(SHARES)
    dealt: dict[str, str] = {}
    for file in _in_order(counts):
        must_fill = len(counts) - len(dealt) <= len(empty)
        split = max(empty if must_fill else SHARES, key=lambda name: lacking[name])
        dealt[file] = split
        lacking[split] -= counts[file]
        empty = [name for name in empty if name != split]
    return dealt


def _in_order(counts: Mapping[str, int]) -> Sequence[str]:
    return sorted(counts, key=lambda file: (-counts[file], hashlib.sha256(file.encode()).digest()))
