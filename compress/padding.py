"""Features of texts, and batches of them, padded to the longest. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tokenizers import Encoding

from compress.processor import TextProcessor
from compress.task import Batch, Features, Row


def model_inputs(row: Row, encoding: Encoding, processor: TextProcessor) -> Features:
    """``input_ids``, ``token_type_ids`` where the model has that input, and the row's
    ``id`` where it has one."""
    features: Features = {"input_ids": encoding.ids}
    if processor.uses_token_types:
        features["token_type_ids"] = encoding.type_ids
    if "id" in row:
        features["id"] = row["id"]
    return features


def padded(lists: Sequence[Sequence[int]], fill: int, *, left: bool = False) -> np.ndarray:
    """int64 [batch, longest]; shorter lists are filled up with ``fill``, on the right or on the
    left."""
    array = np.full((len(lists), max(map(len, lists))), fill, dtype=np.int64)
    for row, values in zip(array, lists, strict=True):
        start = len(row) - len(values) if left else 0
        row[start : start + len(values)] = values
    return array


def pad(features: Sequence[Features], processor: TextProcessor, *, left: bool = False) -> Batch:
    """``input_ids``, ``attention_mask`` (0 where padded), and ``token_type_ids`` where the
    model has that input; int64 [batch, longest].

    The padding stands on the right: there the tokens have the same positions as alone, and a
    decoder never sees it. A head that reads the last position needs it on the ``left``."""
    ids = [f["input_ids"] for f in features]
    batch = {
        "input_ids": padded(ids, processor.pad_id, left=left),
        "attention_mask": padded([[1] * len(i) for i in ids], 0, left=left),
    }
    if processor.uses_token_types:
        types = [f["token_type_ids"] for f in features]
        batch["token_type_ids"] = padded(types, 0, left=left)
    return batch
