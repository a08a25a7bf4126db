"""Processors of sounds: what prepares a waveform, alone and with a tokenizer beside it. No torch
and no transformers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from compress.errors import UsageError
from compress.jsonfiles import read_object
from compress.processor import TextProcessor

_FILE = "preprocessor_config.json"
_CLASS = "Wav2Vec2FeatureExtractor"
_SMALLEST = 1e-7
"""What is added to a variance, so that silence is not divided by 0."""


class WaveformProcessor:
    """Prepares waveforms as transformers' ``Wav2Vec2FeatureExtractor`` does, whose file it reads.
    ``sampling_rate`` is in samples a second."""

    files: ClassVar[tuple[str, ...]] = (_FILE,)

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.sampling_rate = int(config["sampling_rate"])

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The processor of a model folder. Raises UsageError if it has none, or one of another
        class, whose inputs are no waveforms."""
        file = Path(folder) / _FILE
        if not file.is_file():
            raise UsageError(f"{folder} has no {_FILE}")
        config = read_object(file)
        found = config.get("feature_extractor_type")
        if found != _CLASS or not isinstance(config.get("sampling_rate"), int):
            raise UsageError(
                f"{file}: it is of a {found}, and a {_CLASS} with a sampling_rate is needed; a "
                "task of a plugin may have a processor_class of its own"
            )
        return cls(config)

    def save(self, folder: Path) -> None:
        """Write ``preprocessor_config.json``."""
        text = json.dumps(self.config, indent=2, sort_keys=True)
        (folder / _FILE).write_text(text + "\n", encoding="utf-8")

    def identity(self) -> str:
        """A digest of the settings."""
        return hashlib.sha256(json.dumps(self.config, sort_keys=True).encode()).hexdigest()

    def encode(self, waveforms: Sequence[Sequence[float]]) -> list[np.ndarray]:
        """float32 [samples] of each waveform: with a mean of 0 and a variance of 1, if its settings
        say ``do_normalize``, else as it is."""
        arrays = [np.asarray(waveform, dtype=np.float32) for waveform in waveforms]
        if not self.config.get("do_normalize", True):
            return arrays
        return [(a - a.mean()) / np.sqrt(a.var() + _SMALLEST) for a in arrays]


class SpeechProcessor:
    """A ``WaveformProcessor``, ``sound``, and a tokenizer, ``text``, of one model folder."""

    files: ClassVar[tuple[str, ...]] = (*WaveformProcessor.files, *TextProcessor.files)

    def __init__(self, sound: WaveformProcessor, text: TextProcessor) -> None:
        self.sound, self.text = sound, text

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Both processors of a model folder. Raises UsageError if one is missing."""
        return cls(WaveformProcessor.load(folder), TextProcessor.load(folder))

    def save(self, folder: Path) -> None:
        """Write the files of both."""
        self.sound.save(folder)
        self.text.save(folder)

    def identity(self) -> str:
        """A digest of both."""
        return hashlib.sha256(
            f"{self.sound.identity()} {self.text.identity()}".encode()
        ).hexdigest()
