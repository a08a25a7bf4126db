"""Windows of a context, spans in them, and how two answers are compared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import Encoding

from compress.padding import model_inputs, pad
from compress.processor import TextProcessor
from compress.task import Batch, Features, Prediction, Row, RowError

_LEFT_OUT = re.compile(r"\b(a|an|the)\b|[^\w\s]")
"""What does not count in an answer (Rajpurkar et al. 2016, section 6.1)."""


def spanned(row: Row) -> Row:
    """The row with the place of its answer. Raises RowError where the context has none."""
    texts = {name: row.get(name) for name in ("question", "context", "answer")}
    for name, text in texts.items():
        if not isinstance(text, str) or not text.strip():
            raise RowError(f"{name} is missing")
    start = str(texts["context"]).find(str(texts["answer"]))
    if start < 0:
        raise RowError(f"the context does not hold the answer {texts['answer']!r:.60}")
    return {**texts, "start": start}


def window_of(row: Row, window: Encoding, processor: TextProcessor) -> Features:
    """The features of a window of the row's context, with positions where the answer is known."""
    features = {**model_inputs(row, window, processor), "spans": _spans(window)}
    if "answer" in row:
        first, after = row["start"], row["start"] + len(row["answer"])
        held = [p for p, span in enumerate(features["spans"]) if span and _meet(span, first, after)]
        starts = held and features["spans"][held[0]][0] <= first
        is_whole = starts and features["spans"][held[-1]][1] >= after
        features["start_positions"] = held[0] if is_whole else 0
        features["end_positions"] = held[-1] if is_whole else 0
    return features


def _spans(window: Encoding) -> list[tuple[int, int] | None]:
    pairs = zip(window.offsets, window.sequence_ids, strict=True)
    return [span if side == 1 else None for span, side in pairs]


def _meet(span: Sequence[int], first: int, after: int) -> bool:
    return span[0] < after and span[1] > first


def best_span(
    first: np.ndarray, last: np.ndarray, spans: Sequence[Any], longest: int
) -> Prediction:
    """The likeliest span of at most ``longest`` tokens of the context, from logits [length]."""
    places = np.array([place for place, span in enumerate(spans) if span])
    sums = first[places, None] + last[None, places]
    length = places[None, :] - places[:, None]
    sums = np.where((length >= 0) & (length < longest), sums, -np.inf)
    start, end = np.unravel_index(sums.argmax(), sums.shape)
    score = float(sums[start, end] - first[0] - last[0])
    begin, stop = spans[places[start]][0], spans[places[end]][1]
    return {"start": int(begin), "end": int(stop), "score": score}


def padded_windows(features: Sequence[Features], processor: TextProcessor) -> Batch:
    """The arrays of ``QuestionAnswering.collate``."""
    batch = pad(features, processor)
    for name in ("start_positions", "end_positions"):
        if all(name in f for f in features):
            batch[name] = np.array([f[name] for f in features], dtype=np.int64)
    return batch


def words(text: str) -> list[str]:
    """The words that count."""
    return _LEFT_OUT.sub(" ", text.lower()).split()


def exact(answer: str, wanted: str) -> bool:
    """Whether two answers have the same words."""
    return words(answer) == words(wanted)


def overlap(answer: str, wanted: str) -> float:
    """F1 of the words of two answers."""
    own, other = Counter(words(answer)), Counter(words(wanted))
    total = own.total() + other.total()
    return 2 * (own & other).total() / total if total else 1.0
