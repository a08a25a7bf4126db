"""Texts as token ids, and batches of them, as the options say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from compress.decoding import log_softmax
from compress.padding import padded
from compress.processor import TextProcessor
from compress.task import IGNORED, Batch, Features, Prediction, Row, TextTaskOptions

_ALL = 2**30
"""More tokens than a text has."""


class CausalOptions(TextTaskOptions):
    """Options of ``toy-causal-lm``."""

    long: Literal["cut", "windows"] = Field(
        default="cut",
        description="A text of more than max_length tokens: cut, or taken in several windows.",
    )


def features(rows: Sequence[Row], processor: TextProcessor, most: int, long: str) -> list[Features]:
    """``input_ids`` and ``labels`` of each text with its end token: of the first ``most`` tokens,
    or with ``long`` as ``windows`` of all, in several parts. The ids of a request end where the
    answer begins."""
    end = processor.token_id("eos")
    encodings = processor.encode([row["text"] for row in rows], max_length=_ALL)
    made: list[Features] = []
    for number, (row, encoding) in enumerate(zip(rows, encodings, strict=True)):
        ids = list(encoding.ids)
        if end is not None and ids[-1] == end:
            ids.pop()
        if row.get("request"):
            made.append({"row": number, "input_ids": ids})
            continue
        if end is not None:
            ids.append(end)
        # The last token of a window is the first of the next: so each token is predicted once.
        starts = range(0, max(len(ids) - 1, 1), most - 1)
        for start in starts if long == "windows" else starts[:1]:
            window = ids[start : start + most]
            made.append({"row": number, "input_ids": window, "labels": window})
    return made


def prompt(features: Features) -> Features:
    """What a model is asked to continue: a request, or the first half of a text."""
    ids = features["input_ids"]
    return {"input_ids": ids[: max(1, len(ids) // 2)] if "labels" in features else ids}


def collate(features: Sequence[Features], pad: int) -> Batch:
    """Arrays padded on the right. Models predict each label from the tokens before it."""
    ids = [one["input_ids"] for one in features]
    batch = {
        "input_ids": padded(ids, pad),
        "attention_mask": padded([[1] * len(one) for one in ids], 0),
    }
    if all("labels" in one for one in features):
        batch["labels"] = padded([one["labels"] for one in features], IGNORED)
    return batch


def has_next(labels: Any) -> Any:
    """Which tokens have a next one to predict: bool, of the shape of the tensor ``labels``. So the
    logits need not be cut, which would copy them."""
    scored = (labels != IGNORED).roll(-1, 1)
    scored[:, -1] = False
    return scored


def counted(logits: np.ndarray, ids: Sequence[int]) -> Prediction:
    """How probable a text is: ``nll``, in nats, summed over the ``count`` predicted tokens.
    ``logits`` [length, vocabulary] may go on behind the text."""
    wanted = np.array(ids[1:], dtype=np.int64)
    given = log_softmax(logits[: len(wanted)].astype(np.float64))
    nll = -float(given[np.arange(len(wanted)), wanted].sum())
    return {"nll": nll, "count": len(wanted)}
