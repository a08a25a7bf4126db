"""Sounds from files, texts from frames, and how two texts differ."""

from __future__ import annotations

import wave
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from compress.errors import UsageError
from compress.processor import TextProcessor
from compress.request import Request
from compress.task import IGNORED, Batch, Features, Row, RowError

_FULL = 1 << 15


def heard(row: Row) -> Row:
    """A row with samples and text. Raises RowError."""
    if not isinstance(row.get("text"), str) or not row["text"].strip():
        raise RowError("text is missing")
    return {**_sound(row.get("audio")), "text": row["text"]}


def sounds(requests: Sequence[Request]) -> list[Row]:
    """A row for each request. Raises UsageError for one that is no sound."""
    rows: list[Row] = []
    for request in requests:
        try:
            rows.append(_sound(request["audio"] if isinstance(request, Mapping) else request))
        except (KeyError, RowError) as error:
            raise UsageError(f"a sound is asked for: {error}") from error
    return rows


def _sound(audio: Any) -> dict[str, Any]:
    """``audio`` and ``rate`` of a list of samples, or of a wav file."""
    if isinstance(audio, list | tuple) and audio:
        return {"audio": [float(sample) for sample in audio], "rate": None}
    if not isinstance(audio, str) or not Path(audio).is_file():
        raise RowError(f"audio {audio!r:.60} is neither a file nor a list of samples")
    try:
        with wave.open(audio) as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                raise RowError(f"{audio} is not mono with 16 bits")
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
            return {"audio": (samples / _FULL).tolist(), "rate": file.getframerate()}
    except (wave.Error, EOFError) as error:
        raise RowError(f"{audio} is no wav file: {error}") from error


def padded(features: Sequence[Features]) -> Batch:
    """The arrays of ``Speech.collate``."""
    lengths = [len(f["input_values"]) for f in features]
    shape = (len(features), max(lengths))
    batch: Batch = {"input_values": np.zeros(shape, np.float32)}
    batch["attention_mask"] = (np.arange(shape[1]) < np.array(lengths)[:, None]).astype(np.int64)
    for row, one in zip(batch["input_values"], features, strict=True):
        row[: len(one["input_values"])] = one["input_values"]
    if all("labels" in f for f in features):
        letters = [f["labels"] for f in features]
        batch["labels"] = np.full((len(letters), max(map(len, letters))), IGNORED)
        for row, ids in zip(batch["labels"], letters, strict=True):
            row[: len(ids)] = ids
    return batch


def spelt(frames: Sequence[int], tokenizer: TextProcessor) -> str:
    """The text of the likeliest ids: repeated ones are one, and the padding id is the blank."""
    ids = [number for number, _ in groupby(frames) if number != tokenizer.pad_id]
    letters = [tokenizer.tokenizer.id_to_token(number) or "" for number in ids]
    return " ".join("".join(letters).replace("|", " ").split())


def edits(own: Sequence[str], wanted: Sequence[str]) -> int:
    """The least insertions, deletions and substitutions between two lists of words."""
    row = list(range(len(wanted) + 1))
    for i, word in enumerate(own, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(wanted, start=1):
            best = min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
            diagonal, row[j] = row[j], best
    return row[-1]
