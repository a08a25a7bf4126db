"""The option that says what a data set calls its splits."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from compress.errors import suggestion
from compress.source import SPLITS


def _refuse_unknown(splits: dict[str, str]) -> dict[str, str]:
    for split in splits:
        if split not in SPLITS:
            raise ValueError(f"{split!r} is not a split: {suggestion(split, SPLITS)}")
    return splits


OwnSplits = Annotated[dict[str, str], AfterValidator(_refuse_unknown)]
"""The data set's own name of a split, by ours."""
