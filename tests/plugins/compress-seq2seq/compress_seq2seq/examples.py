"""Pairs of texts as token ids, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import Field

from compress.generation import PROMPT, read_generation, special
from compress.jsonfiles import read_object
from compress.padding import padded
from compress.processor import TextProcessor
from compress.task import IGNORED, Batch, Features, Row, TextTaskOptions


class Seq2SeqOptions(TextTaskOptions):
    """Options of ``seq2seq``. Quality is measured with ``target_length`` and ``beams``."""

    target_length: int = Field(default=64, ge=2, description="Tokens of a target or an answer.")
    beams: int = Field(default=1, ge=1, description="Answers that a search compares; 1: no search.")


class AnsweringProcessor(TextProcessor):
    """A tokenizer, with the token that a decoder's input begins with (``start``)."""

    start: int | None = None

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The processor of a model folder."""
        made, config = super().load(folder), Path(folder, "config.json")
        if config.is_file():
            stated = read_object(config, infinity=True)
            made.start = special(stated, read_generation(Path(folder))).start
        return made


def features_of(
    rows: Sequence[Row], processor: AnsweringProcessor, most: int, most_of_target: int
) -> list[Features]:
    """``input_ids`` of each source, and ``labels``: the ids of the target, if there is one, with
    the end token."""
    sources = processor.encode([row["source"] for row in rows], max_length=most)
    made = []
    for row, source in zip(rows, sources, strict=True):
        one: Features = {"input_ids": source.ids}
        if "target" in row:
            one["labels"] = _target(row["target"], processor, most_of_target)
        made.append(one)
    return made


def _target(text: str, processor: AnsweringProcessor, most: int) -> list[int]:
    (encoding,) = processor.encode([text], max_length=most)
    ids, end = encoding.ids, processor.token_id("eos")
    return ids if end is None or ids[-1:] == [end] else [*ids, end]


def collate(features: Sequence[Features], processor: AnsweringProcessor) -> Batch:
    """``input_ids`` and ``attention_mask``; with targets, ``labels`` and the decoder's input, which
    are the labels one place to the right."""
    batch = {
        "input_ids": padded([one["input_ids"] for one in features], processor.pad_id),
        "attention_mask": padded([[1] * len(one["input_ids"]) for one in features], 0),
    }
    if all("labels" in one for one in features):
        targets = [one["labels"] for one in features]
        start = processor.pad_id if processor.start is None else processor.start
        batch["labels"] = padded(targets, IGNORED)
        batch[PROMPT] = padded([[start, *ids[:-1]] for ids in targets], processor.pad_id)
    return batch
