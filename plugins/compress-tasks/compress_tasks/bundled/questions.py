"""The span of a context that answers a question, from the logits of its first and its last token
(Devlin et al. 2019, sections 4.2 and 4.3). A long context is read in windows that overlap."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

OUTPUTS = ("start_logits", "end_logits")
NO_ANSWER = ""
"""The answer that there is none."""
_DIGITS = 5
"""Decimal places of a probability, as of all answers. This file imports nothing of the toolkit."""
EXAMPLES: Sequence[Any] = (
    ("Who met Barack Obama?", "Angela Merkel met Barack Obama in Berlin on Monday."),
    ("Where did it rain?", "In Zürich, São Paulo and 東京 it rained (a lot)."),
    ("Who was that again, and when, and why? " * 20, "It was John Smith."),
    ("What was rejected?", "Nothing is told here. " * 200 + "The offer was rejected."),
)
"""Requests that a bundle records the answers to."""


class Answering:
    """The task of a bundle. ``options`` are the task's; it has no ``labels``."""

    columns = ("question", "context")
    needed = 2

    def __init__(self, options: Mapping[str, Any], labels: Sequence[str]) -> None:
        self.options = options

    def read(self, row: Mapping[str, Any], reader: Any) -> tuple[Mapping[str, Any], list[Any]]:
        """The row, and the encodings of the question with each window of the context."""
        options = self.options
        question = reader.shortened(row["question"], options["question_length"])
        windows = reader.windows(question, row["context"], options["max_length"], options["stride"])
        return {**row, "null_id": reader.settings["cls_id"]}, windows

    def answer(
        self,
        row: Mapping[str, Any],
        parts: Sequence[Any],
        outputs: Sequence[Mapping[str, np.ndarray]],
    ) -> dict[str, Any]:
        """The question, the answer with its probability, and the characters of the context that it
        has; none of them where there is no answer."""
        found = []
        for part, given in zip(parts, outputs, strict=True):
            first, last = (given[name] for name in OUTPUTS)
            window = window_of(part, row["null_id"])
            found.append(best_span(first, last, window, self.options["answer_length"]))
        return shown(row["question"], joined(found, row["context"], self.options["no_answer"]))


def window_of(part: Any, null_id: int | None) -> dict[str, Any]:
    """Of the encoding of a question and a window: ``context``, the place of the first token of the
    context; ``spans`` int32 [tokens, 2], the characters of each such token; ``null``, the place
    that stands for no answer: that of the token ``null_id``, else the first."""
    sides, ids = part.sequence_ids, part.ids
    first = sides.index(1) if 1 in sides else len(sides)
    offsets = part.offsets[first : first + sides.count(1)]
    return {
        "context": first,
        "spans": np.array(offsets, dtype=np.int32).reshape(-1, 2),
        "null": ids.index(null_id) if null_id in ids else 0,
    }


def best_span(
    first: np.ndarray, last: np.ndarray, window: Mapping[str, Any], longest: int
) -> dict[str, Any]:
    """The likeliest span of at most ``longest`` tokens of a window's context, from the logits
    [length] of its first and its last token: ``start`` and ``end``, its characters; ``score``, the
    sum of its two logits; ``mass``, the logarithm of the sum of the exponentials of all spans'
    scores; ``null``, the score of no answer. All but ``null`` are None where the window holds no
    token of the context."""
    place, spans, cls = window["context"], window["spans"], window["null"]
    null = float(first[cls]) + float(last[cls])
    if not len(spans):
        return {"start": None, "end": None, "score": None, "mass": None, "null": null}
    own = slice(place, place + len(spans))
    ends = np.concatenate([last[own].astype(np.float64), np.full(longest - 1, -np.inf)])
    # sums[i, k]: the span of k + 1 tokens that begins at token i.
    windows = np.lib.stride_tricks.sliding_window_view(ends, longest)
    sums = first[own].astype(np.float64)[:, None] + windows
    begin, more = divmod(int(sums.argmax()), longest)
    score = float(sums[begin, more])
    return {
        "start": int(spans[begin, 0]),
        "end": int(spans[begin + more, 1]),
        "score": score,
        "mass": score + math.log(float(np.exp(sums - score).sum())),
        "null": null,
    }


def joined(
    parts: Sequence[Mapping[str, Any]], context: str, threshold: float | None
) -> dict[str, Any]:
    """The span of the highest score in all windows: ``answer``, its text; ``start`` and ``end``,
    its characters; ``confidence``, its probability among all spans.

    With a ``threshold``, ``margin`` is the score of no answer, the lowest of all windows, less that
    of the span. Where it is above the threshold, the answer is empty, and has no ``start`` and
    ``end``. The probability then counts no answer as one more span."""
    found = [part for part in parts if part["score"] is not None]
    if not found:
        return {"answer": NO_ANSWER, "start": None, "end": None, "confidence": None}
    best = max(found, key=lambda part: part["score"])
    masses, score = [part["mass"] for part in found], best["score"]
    start, end = text_span(context, best["start"], best["end"])
    spoken: dict[str, Any] = {"answer": context[start:end], "start": start, "end": end}
    if threshold is not None:
        null = min(part["null"] for part in parts)
        masses.append(null)
        spoken["margin"] = round(null - score, _DIGITS)
        if null - score > threshold:
            score = null
            spoken |= {"answer": NO_ANSWER, "start": None, "end": None}
    return {**spoken, "confidence": round(math.exp(score - log_sum(masses)), _DIGITS)}


def shown(question: str, prediction: Mapping[str, Any]) -> dict[str, Any]:
    """The question with its answer, as a user sees it."""
    spoken = {name: prediction[name] for name in ("answer", "start", "end")}
    return {"question": question, **spoken, "score": prediction["confidence"]}


def text_span(context: str, start: int, end: int) -> tuple[int, int]:
    """The characters of an answer: without white space around them, and with the marks that belong
    to the last letter, which a tokenizer may leave out."""
    text = context[start:end]
    first = start + len(text) - len(text.lstrip())
    after = max(first, start + len(text.rstrip()))
    while after < len(context) and unicodedata.category(context[after]).startswith("M"):
        after += 1
    return first, after


def log_sum(values: Sequence[float]) -> float:
    """The logarithm of the sum of the exponentials of at least one value."""
    most = max(values)
    return most + math.log(sum(math.exp(value - most) for value in values))
