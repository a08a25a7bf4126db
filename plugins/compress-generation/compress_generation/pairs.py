"""Pairs of texts: from rows of data to token ids, and from these to batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

import numpy as np

from compress.generation import PROMPT
from compress.rows import Columns, Row
from compress.task import IGNORED, Batch, Features, RowError


class PairReader(Protocol):
    """What reads pairs of texts for a model with an encoder and a decoder.

    ``begin`` are the ids that the decoder's input begins with, before the first token of an
    answer."""

    @property
    def begin(self) -> Sequence[int]: ...
    @property
    def pad_id(self) -> int: ...
    def sources(self, texts: Sequence[str], most: int) -> list[list[int]]: ...
    def targets(self, texts: Sequence[str], most: int) -> list[list[int]]: ...
    def decode(self, tokens: Sequence[int]) -> str: ...
    def told(self, on_text: Callable[[str], None]) -> Callable[[int, int], None]: ...
    def speaking(self, source: str | None, target: str | None) -> Self: ...
    def mistake(self) -> str | None: ...


def pairs_of(columns: Columns) -> Columns:
    """``source`` and ``target``, each a text, and ``references``, the further right answers.

    A source that is a list of texts, such as sentences, is joined by spaces. Of a target that is a
    list the first is the target. Raises RowError for a cell that holds no text."""
    targets = [_texts(cell, "target") for cell in columns.get("target", ())]
    return {
        "source": [" ".join(_texts(cell, "source")) for cell in columns.get("source", ())],
        "target": [texts[0] for texts in targets],
        "references": [texts[1:] for texts in targets],
    }


def _texts(cell: Any, name: str) -> list[str]:
    """The texts in a cell, without the spaces around them; those that are empty are left out of a
    list."""
    texts = cell if isinstance(cell, list) else [cell]
    wrong = next((text for text in texts if text is not None and not isinstance(text, str)), None)
    if wrong is not None:
        raise RowError(f"{name} is {wrong!r:.80}, and not a text or a list of texts")
    filled = [text.strip() for text in texts if text and text.strip()]
    if not filled:
        raise RowError(f"{name} is empty")
    return filled


def references_of(rows: Sequence[Row]) -> list[list[str]]:
    """All right answers of each row, its target first."""
    return [[row["target"], *(row.get("references") or ())] for row in rows]


def features_of(
    rows: Sequence[Row], reader: PairReader, prefix: str, most: int, most_of_target: int
) -> list[Features]:
    """``input_ids`` of each source after ``prefix``, and ``labels``, the ids of the target with the
    end token, if there is one; cut to ``most`` and ``most_of_target`` ids. ``id`` as the row's."""
    sources = reader.sources([prefix + row["source"] for row in rows], most)
    made: list[Features] = [{"input_ids": ids} for ids in sources]
    with_target = [place for place, row in enumerate(rows) if row.get("target") is not None]
    labels = reader.targets([rows[place]["target"] for place in with_target], most_of_target)
    for place, ids in zip(with_target, labels, strict=True):
        made[place]["labels"] = ids
    for one, row in zip(made, rows, strict=True):
        if "id" in row:
            one["id"] = row["id"]
    return made


def collate(features: Sequence[Features], reader: PairReader) -> Batch:
    """``input_ids`` and ``attention_mask``; with targets, ``labels`` and the decoder's input, which
    is the labels moved to the right, behind what an answer begins with. int64 [batch, longest]."""
    batch = sources_of(features, reader)
    if all("labels" in one for one in features):
        begin, targets = list(reader.begin), [one["labels"] for one in features]
        # What the decoder is given is nothing that it is asked for, but for the last of it.
        batch["labels"] = _padded([[IGNORED] * (len(begin) - 1) + ids for ids in targets], IGNORED)
        batch[PROMPT] = _padded([[*begin, *ids[:-1]] for ids in targets], reader.pad_id)
    return batch


def sources_of(features: Sequence[Features], reader: PairReader) -> Batch:
    """``input_ids`` and ``attention_mask`` (0 where padded) of the sources, int64 [batch,
    longest]."""
    ids = [one["input_ids"] for one in features]
    return {
        "input_ids": _padded(ids, reader.pad_id),
        "attention_mask": _padded([[1] * len(each) for each in ids], 0),
    }


def prompts_of(features: Sequence[Features], reader: PairReader) -> Batch:
    """The sources, and what their answers begin with."""
    begin = np.tile(np.array(reader.begin, dtype=np.int64), (len(features), 1))
    return {**sources_of(features, reader), PROMPT: begin}


def _padded(lists: Sequence[Sequence[int]], fill: int) -> np.ndarray:
    array = np.full((len(lists), max(map(len, lists))), fill, dtype=np.int64)
    for row, ids in zip(array, lists, strict=True):
        row[: len(ids)] = ids
    return array
