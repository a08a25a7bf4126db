"""A tag for each word, and the entities that the tags form, from the logits of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

OUTSIDE = "O"
EXAMPLES: Sequence[Any] = (
    "Angela Merkel met Barack Obama in Berlin on Monday.",
    "The European Commission rejected the offer of Siemens AG.",
    "Nothing is named here.",
    "In Zürich, São Paulo and 東京 it rained (a lot).",
    "John Smith works for Reuters in London, and so it goes on. " * 20,
)
"""Requests that a bundle records the answers to."""
_WORD = re.compile(r"\w+|[^\w\s]")


class Answering:
    """The task of a bundle. ``options`` are the task's, ``labels`` the tags in the order of the
    logits."""

    columns = ("text",)
    needed = 1

    def __init__(self, options: Mapping[str, Any], labels: Sequence[str]) -> None:
        self.max_length, self.labels = options["max_length"], labels

    def read(self, row: Mapping[str, Any], reader: Any) -> tuple[Mapping[str, Any], list[Any]]:
        """The row with its words, and their encoding."""
        cut = with_words(row["text"])
        return cut, [reader.words(cut["tokens"], self.max_length)]

    def answer(
        self,
        row: Mapping[str, Any],
        parts: Sequence[Any],
        outputs: Sequence[Mapping[str, np.ndarray]],
    ) -> dict[str, Any]:
        """The text and its entities."""
        starts = starts_of(parts[0].word_ids, len(row["tokens"]))
        best = outputs[0]["logits"].argmax(axis=-1)  # [length, tags] -> [length]
        tags = [None if start is None else int(best[start]) for start in starts]
        found = entities(names(tags, self.labels))
        return {"text": row["text"], "entities": shown(row["text"], row["spans"], found)}


def with_words(text: str) -> dict[str, Any]:
    """The ``text``, its words as ``tokens``, and their ``spans`` (start, end) in the text. A word
    is a run of letters, digits and underscores, or any other single character but a space."""
    words = list(_WORD.finditer(text))
    return {
        "text": text,
        "tokens": [word.group() for word in words],
        "spans": [word.span() for word in words],
    }


def starts_of(word_ids: Sequence[int | None], count: int) -> list[int | None]:
    """The position of the first piece of each of ``count`` words; None for one that was cut off or
    has no piece."""
    first: dict[int, int] = {}
    for position, word in enumerate(word_ids):
        if word is not None:
            first.setdefault(word, position)
    return [first.get(word) for word in range(count)]


def names(tags: Sequence[int | None], labels: Sequence[str]) -> list[str]:
    """The tags by their names; ``O`` for a word that the model did not see."""
    return [OUTSIDE if tag is None else labels[tag] for tag in tags]


def entities(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """The (start, end, type) of each entity of IOB2 tags, ``end`` exclusive.

    An ``I-`` that continues no entity is ignored, as in seqeval's strict mode."""
    spans: list[tuple[int, int, str]] = []
    inside = ""
    for i, tag in enumerate(tags):
        if tag.startswith("B-"):
            inside = tag[2:]
            spans.append((i, i + 1, inside))
        elif inside and tag == f"I-{inside}":
            spans[-1] = (spans[-1][0], i + 1, inside)
        else:
            inside = ""
    return spans


def shown(
    text: str, spans: Sequence[tuple[int, int]], found: Sequence[tuple[int, int, str]]
) -> list[dict[str, Any]]:
    """Entities as ``type``, ``text``, ``start`` and ``end`` (characters, ``end`` exclusive).
    ``spans`` are the words' places in the text."""
    answers = []
    for first, after, kind in found:
        start, end = spans[first][0], spans[after - 1][1]
        answers.append({"type": kind, "text": text[start:end], "start": start, "end": end})
    return answers
