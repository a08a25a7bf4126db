"""Batches of token ids, padded on the right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compress.task import IGNORED, Batch, Features


def padded(features: Sequence[Features], pad: int) -> Batch:
    """``input_ids``, ``attention_mask`` and, if all have them, ``labels``, int64 [batch,
    longest]. A model predicts each label from the tokens before it."""
    size = (len(features), max(len(one["input_ids"]) for one in features))
    batch = {
        "input_ids": np.full(size, pad, dtype=np.int64),
        "attention_mask": np.zeros(size, dtype=np.int64),
    }
    if all("labels" in one for one in features):
        batch["labels"] = np.full(size, IGNORED, dtype=np.int64)
    for row, one in enumerate(features):
        length = len(one["input_ids"])
        batch["attention_mask"][row, :length] = 1
        for name in ("input_ids", *batch.keys() & {"labels"}):
            batch[name][row, :length] = one[name]
    return batch
