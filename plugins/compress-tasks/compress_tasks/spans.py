"""Windows of a context, and the span of one that answers a question (Devlin et al. 2019, sections
4.2 and 4.3)."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

import numpy as np
from tokenizers import Encoding

from compress.padding import model_inputs
from compress.processor import TextProcessor
from compress.task import Features, Prediction, Row


def shortened(questions: Sequence[str], length: int, processor: TextProcessor) -> list[str]:
    """The questions, each cut to the text of ``length`` tokens."""
    special = processor.tokenizer.num_special_tokens_to_add(is_pair=False)
    encodings = processor.encode(questions, max_length=length + special)
    return [_kept(text, encoding) for text, encoding in zip(questions, encodings, strict=True)]


def _kept(text: str, encoding: Encoding) -> str:
    if not encoding.overflowing:
        return text
    marks = zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
    ends = [end for (_, end), is_special in marks if not is_special]
    return text[: max(ends)] if ends else text


def windows_of(
    row: Row, windows: Sequence[Encoding], answer: tuple[int, int] | None, processor: TextProcessor
) -> list[Features]:
    """The features of each window of a row's context: ``context``, the place of its first token of
    the context; ``spans`` int32 [tokens, 2], the characters of each such token; ``null``, the place
    that stands for no answer.

    With an ``answer``, the characters of the context that it has, ``start_positions`` and
    ``end_positions`` are its first and last token. They are ``null`` in a window that does not hold
    the whole answer."""
    cls = processor.token_id("cls")
    made = [_window(row, window, cls, processor) for window in windows]
    if "answers" in row:
        whole = _whole([one["spans"] for one in made], answer)
        for one in made:
            first, last = _positions(one, answer, whole)
            one["start_positions"], one["end_positions"] = first, last
    return made


def _window(row: Row, window: Encoding, cls: int | None, processor: TextProcessor) -> Features:
    features, sides = model_inputs(row, window, processor), window.sequence_ids
    first = sides.index(1) if 1 in sides else len(sides)
    offsets = window.offsets[first : first + sides.count(1)]
    ids = features["input_ids"]
    features["context"] = first
    features["spans"] = np.array(offsets, dtype=np.int32).reshape(-1, 2)
    features["null"] = ids.index(cls) if cls in ids else 0
    return features


def _held(spans: np.ndarray, answer: tuple[int, int] | None) -> np.ndarray:
    """The tokens that share a character with the answer, int64 [tokens]."""
    first, after = answer or (0, 0)
    return np.flatnonzero((spans[:, 0] < after) & (spans[:, 1] > first))


def _whole(windows: Sequence[np.ndarray], answer: tuple[int, int] | None) -> tuple[int, int] | None:
    """The characters of all tokens of the answer, in any window. They may be more than its own, as
    where a token holds a space, or less, as where a mark above a letter is no part of a token."""
    held = np.concatenate([spans[_held(spans, answer)] for spans in windows])
    return (int(held[:, 0].min()), int(held[:, 1].max())) if len(held) else None


def _positions(
    window: Features, answer: tuple[int, int] | None, whole: tuple[int, int] | None
) -> tuple[int, int]:
    spans, null = window["spans"], window["null"]
    held = _held(spans, answer)
    own = spans[held]
    if not len(held) or (int(own[:, 0].min()), int(own[:, 1].max())) != whole:
        return null, null
    return window["context"] + int(held[0]), window["context"] + int(held[-1])


def best_span(first: np.ndarray, last: np.ndarray, features: Features, longest: int) -> Prediction:
    """The likeliest span of at most ``longest`` tokens of a window's context, from the logits
    [length] of its first and its last token: ``start`` and ``end``, its characters; ``score``, the
    sum of its two logits; ``mass``, the logarithm of the sum of the exponentials of all spans'
    scores; ``null``, the score of no answer. All but ``null`` are None where the window holds no
    token of the context."""
    place, spans, cls = features["context"], features["spans"], features["null"]
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
