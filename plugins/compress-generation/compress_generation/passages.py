"""Plain texts as windows of tokens. Nothing is lost: each token of a text is predicted once.

Short texts are joined to passages when the data are prepared, before a tokenizer is known. A
passage is then a sequence of tokens, in which each text ends with the end token; it is cut into
windows. So all windows are full but for the last one of a passage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from compress.processor import TextProcessor
from compress.task import IGNORED, Features

_CHARACTERS = 16
"""Characters of a passage for each token of a window: about four windows of English. A longer
passage leaves fewer windows that are not full; a shorter one gives more rows to draw intervals
from."""


def joined(texts: Sequence[str], max_length: int) -> list[list[str]]:
    """Neighbouring texts in passages of about four windows; a text is never cut."""
    passages: list[list[str]] = []
    room = 0
    for text in texts:
        if room <= 0:
            passages.append([])
            room = _CHARACTERS * max_length
        passages[-1].append(text)
        room -= len(text)
    return passages


def windows(
    passages: Sequence[Sequence[str]], processor: TextProcessor, max_length: int, stride: int
) -> list[Features]:
    """``input_ids`` and ``labels`` of each window, with ``row``, the place of its passage.

    Two neighbours share ``stride`` tokens, which the second does not predict again."""
    made: list[Features] = []
    for row, passage in enumerate(passages):
        ids, labels = _tokens(passage, processor)
        for first, new, end in _spans(len(ids), max_length, stride):
            window = [IGNORED] * (new - first) + labels[new:end]
            made.append({"row": row, "input_ids": ids[first:end], "labels": window})
    return made


def plain_ids(texts: Sequence[str], processor: TextProcessor) -> list[int]:
    """The ids of neighbouring texts, one after the other, with nothing between them."""
    encodings = processor.tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return [token for encoding in encodings for token in encoding.ids]


def _tokens(passage: Sequence[str], processor: TextProcessor) -> tuple[list[int], list[int]]:
    """The ids of a passage, and its labels: those of the texts and of the end token behind each.

    What a template puts before a text is context, and so is the end token before the first text
    where no template puts anything there: the first token of a text is predicted from it."""
    end = end_id(processor)
    ids: list[int] = []
    labels: list[int] = []
    for encoding in processor.encode(passage, max_length=ALL):
        own = np.flatnonzero(np.array(encoding.special_tokens_mask) == 0)
        first, after = (int(own[0]), int(own[-1]) + 1) if len(own) else (0, 0)
        before = encoding.ids[:first] or ([] if ids else [end])
        ids += [*before, *encoding.ids[first:after], end]
        labels += [IGNORED] * len(before) + [*encoding.ids[first:after], end]
    return ids, labels


def _spans(length: int, most: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """(first token, first token that is predicted, end) of each window."""
    first, new = 0, 0
    while new < length:
        end = min(first + most, length)
        yield first, new, end
        new, first = end, end - stride


ALL = 1 << 30
"""More tokens than a text has."""


def end_id(processor: TextProcessor) -> int:
    """The id of the end token, which ``processor_mistake`` has looked for."""
    found = processor.token_id("eos")
    assert found is not None, "a tokenizer without an end token was refused"
    return found
