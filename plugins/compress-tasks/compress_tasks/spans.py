"""Windows of a context, and where the answer stands that is learnt from each (Devlin et al. 2019,
sections 4.2 and 4.3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tokenizers import Encoding

from compress.padding import model_inputs
from compress.processor import TextProcessor
from compress.task import Features, Row
from compress_tasks.bundled.questions import window_of


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
    """The features of each window of a row's context, with what
    ``compress_tasks.bundled.questions.window_of`` says of it.

    With an ``answer``, the characters of the context that it has, ``start_positions`` and
    ``end_positions`` are its first and last token. They are ``null`` in a window that does not hold
    the whole answer."""
    cls = processor.token_id("cls")
    made: list[Features] = [
        {**model_inputs(row, window, processor), **window_of(window, cls)} for window in windows
    ]
    if "answers" in row:
        whole = _whole([one["spans"] for one in made], answer)
        for one in made:
            first, last = _positions(one, answer, whole)
            one["start_positions"], one["end_positions"] = first, last
    return made


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
