"""Batches of arrays, padded on the right to the longest example of the batch."""

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


def padded(lists: Sequence[Sequence[int]], fill: int) -> np.ndarray:
    """int64 [batch, longest]; shorter lists are filled up with ``fill``."""
    array = np.full((len(lists), max(map(len, lists))), fill, dtype=np.int64)
    for row, values in zip(array, lists, strict=True):
        row[: len(values)] = values
    return array


def pad(features: Sequence[Features], processor: TextProcessor) -> Batch:
    """``input_ids``, ``attention_mask`` (0 where padded), and ``token_type_ids`` where the
    model has that input; int64 [batch, longest]."""
    ids = [f["input_ids"] for f in features]
    batch = {
        "input_ids": padded(ids, processor.pad_id),
        "attention_mask": padded([[1] * len(i) for i in ids], 0),
    }
    if processor.uses_token_types:
        batch["token_type_ids"] = padded([f["token_type_ids"] for f in features], 0)
    return batch
