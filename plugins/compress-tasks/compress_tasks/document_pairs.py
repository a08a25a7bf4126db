"""Pairs of texts from documents, of which half follow each other (Devlin et al. 2019, section 3.1,
task 2, and appendix A.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np
from tokenizers import Encoding

from compress.processor import TextProcessor
from compress.task import Features, Row
from compress_tasks.masking import special_ids

FOLLOWS, OTHER = 0, 1
"""What a model learns of a pair: whether its second text follows the first, or is of another
document. The numbers are those of transformers' heads."""

_BREAKS = (
    re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*|\s*\n\s*"),  # between sentences and lines
    re.compile(r"\s+"),  # between words
)
_CHARACTERS = 8
"""Characters of a passage for each token that a pair has at most: more than it needs."""


@dataclass(frozen=True)
class Frame:
    """What a tokenizer makes of a pair: pieces (side, ids, types), in which side 0 is the first
    text, 1 the second, and None what stands around them. ``special`` are the ids of special
    tokens."""

    pieces: tuple[tuple[int | None, tuple[int, ...], tuple[int, ...]], ...]
    special: frozenset[int | None]

    @classmethod
    def of(cls, processor: TextProcessor) -> Frame:
        """The frame of a tokenizer."""
        (pair,) = processor.encode([("a", "a")], max_length=64)
        pieces = []
        cells = zip(pair.sequence_ids, pair.ids, pair.type_ids, strict=True)
        for side, run in groupby(cells, key=itemgetter(0)):
            _, ids, types = zip(*run, strict=True)
            pieces.append((side, ids, types))
        return cls(tuple(pieces), special_ids(processor))

    @property
    def around(self) -> int:
        """The number of tokens around the two texts."""
        return sum(len(ids) for side, ids, _ in self.pieces if side is None)

    def pair(self, first: Sequence[int], second: Sequence[int]) -> Features:
        """``input_ids`` and ``token_type_ids`` of a pair, and ``maskable``, the positions of
        ordinary tokens."""
        whole: list[int] = []
        types: list[int] = []
        maskable: list[int] = []
        for side, ids, kinds in self.pieces:
            tokens = ids if side is None else (first, second)[side]
            if side is not None:
                start = len(whole)
                maskable += [start + i for i, t in enumerate(tokens) if t not in self.special]
            whole += tokens
            types += kinds if side is None else kinds[:1] * len(tokens)
        return {"input_ids": whole, "token_type_ids": types, "maskable": maskable}


def passages_of_others(texts: Sequence[str], tokens: int) -> list[str | None]:
    """For each document a passage of another one, which begins with a sentence, and has enough
    characters for ``tokens``; None where there is no other.

    Which one is drawn depends on the number of documents alone, so that equal data are prepared
    alike."""
    count = len(texts)
    if count < 2:
        return [None] * count
    draws = np.random.default_rng(count)
    order = draws.permutation(count)
    others: list[str | None] = [None] * count
    for document, other in zip(order, np.roll(order, 1), strict=True):
        others[document] = _passage(texts[other], tokens * _CHARACTERS, draws.random())
    return others


def _passage(text: str, characters: int, lot: float) -> str:
    """So many characters of a text, from one of its sentences on, which ``lot`` (0 to 1) picks."""
    starts = [0, *(found.end() for found in _BREAKS[0].finditer(text) if found.end() < len(text))]
    start = starts[int(lot * len(starts))]
    return text[start : start + characters]


def tokens_of(text: str, encoding: Encoding) -> tuple[list[int], list[int]]:
    """The ids of an encoding of the text without those around it, and the places among them at
    which a second text may begin: where sentences begin, else where words do, else anywhere."""
    cells = zip(encoding.ids, encoding.offsets, encoding.special_tokens_mask, strict=True)
    kept = [(token, end) for token, (_, end), is_around in cells if not is_around]
    ids = [token for token, _ in kept]
    last = np.array([end - 1 for _, end in kept], dtype=np.int64)
    for pattern in _BREAKS:
        # A token belongs to what its last character belongs to: it may hold the space before.
        starts = [found.end() for found in pattern.finditer(text)]
        cuts = np.flatnonzero(np.diff(np.searchsorted(starts, last, side="right"))) + 1
        if len(cuts):
            return ids, [*cuts.tolist()]
    return ids, [*range(1, len(ids))]


def parts_of(rows: Sequence[Row], most: int, processor: TextProcessor) -> list[Features]:
    """The parts of each document, of which each has room in a pair of ``most`` tokens:
    ``input_ids``, without those around a pair, and ``cuts``, the places at which a second text may
    begin; ``other`` and ``other_cuts``, the same of the other passage; ``frame``, what stands
    around."""
    frame = Frame.of(processor)
    room = most - frame.around + processor.tokenizer.num_special_tokens_to_add(is_pair=False)
    documents = processor.encode([row["text"] for row in rows], max_length=room, stride=0)
    others = processor.encode([row["other"] or "" for row in rows], max_length=2 * room)
    examples = []
    for place, (row, document, passage) in enumerate(zip(rows, documents, others, strict=True)):
        other, other_cuts = tokens_of(row["other"] or "", passage)
        shared: Features = {"other": other, "other_cuts": other_cuts, "row": place, "frame": frame}
        shared |= {"id": row["id"]} if "id" in row else {}
        for part in (document, *document.overflowing):
            ids, cuts = tokens_of(row["text"], part)
            examples.append({"input_ids": ids, "cuts": cuts, **shared})
    return examples


def drawn_pair(features: Features, draws: np.random.Generator) -> Features:
    """A pair of an example as ``Frame.pair`` makes it, with ``next_sentence_label``. Its first text
    begins the example. In half of the pairs the second one is the rest, in the others as many
    tokens of the passage of another document: the lengths tell nothing."""
    tokens, cuts, other = features["input_ids"], features["cuts"], features["other"]
    lot, place, start = draws.random(3)
    follows = bool(cuts) and (lot < 0.5 or not other)
    cut = cuts[int(place * len(cuts))] if cuts else len(tokens)
    second = tokens[cut:]
    if not follows:
        needed = max(1, len(second))
        begins = [0, *(one for one in features["other_cuts"] if one + needed <= len(other))]
        begin = begins[int(start * len(begins))]
        second = other[begin : begin + needed]
    pair = features["frame"].pair(tokens[:cut], second)
    return {**pair, "next_sentence_label": FOLLOWS if follows else OTHER}
