"""The task ``speech-recognition``: what is said in a sound, spelt by a model with a CTC head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from compress import hookimpl
from compress.architecture import ModelConfig
from compress.errors import UsageError
from compress.request import Request
from compress.rows import Columns
from compress.session import Session
from compress.sound import SpeechProcessor
from compress.task import (
    Batch,
    Column,
    Features,
    Prediction,
    Quality,
    Row,
    Shown,
    Task,
    TaskOptions,
    by_row,
)
from compress_speech.hearing import edits, heard, padded, sounds, spelt

_MOST = 1 << 20


class Speech(Task[TaskOptions]):
    """Connectionist temporal classification (Graves et al. 2006): a letter or a blank for each
    frame; repeated letters are one, and blanks are left out."""

    name = "speech-recognition"
    summary = "The words that are said in a sound."
    synonyms = ("asr",)
    kind = "automatic-speech-recognition"
    columns = (
        Column("audio", "The path of a mono wav file of 16 bits, or a list of samples."),
        Column("text", "What is said.", is_target=True),
    )
    headline = "wer"
    higher_is_better = False
    Options = TaskOptions
    processor_class = SpeechProcessor

    @classmethod
    def model_class(cls, config: ModelConfig) -> str:
        """A model with a letter for each frame."""
        return "AutoModelForCTC"

    def labels(self, splits: Any, declared: Sequence[str] | None) -> list[str]:
        """None: the letters are the tokenizer's."""
        return []

    def normalise(self, columns: Columns, labels: Sequence[str]) -> Columns:
        """``audio``, the samples from -1 to 1, ``rate`` in samples a second (None: unknown), and
        ``text``."""
        return by_row(heard, columns)

    def features(self, rows: Sequence[Row], processor: SpeechProcessor) -> list[Features]:
        """``input_values``, float32 [samples], and ``labels``, the ids of the letters.

        Raises UsageError for a sound of another rate than the model's."""
        wanted = processor.sound.sampling_rate
        rates = {row["rate"] for row in rows} - {None, wanted}
        if rates:
            raise UsageError(f"a sound has {rates.pop()} samples a second, not {wanted}")
        waveforms = processor.sound.encode([row["audio"] for row in rows])
        made: list[Features] = [{"input_values": waveform} for waveform in waveforms]
        for row, features in zip(rows, made, strict=True):
            features |= {name: row[name] for name in ("id",) if name in row}
            if "text" in row:
                (letters,) = processor.text.encode([row["text"]], max_length=_MOST)
                features["labels"] = letters.ids
        return made

    def length(self, features: Features) -> int:
        """The samples."""
        return len(features["input_values"])

    def collate(
        self, features: Sequence[Features], processor: SpeechProcessor, generator: Any = None
    ) -> Batch:
        """``input_values`` float32 and ``attention_mask`` int64 [batch, samples]; ``labels`` int64
        [batch, letters], IGNORED where padded."""
        return padded(features)

    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Features]
    ) -> list[Prediction]:
        """``frames``, the likeliest id of each frame, without those of the padding."""
        best, longest = outputs["logits"].argmax(axis=-1), max(map(self.length, batch))
        counts = [-(-best.shape[1] * self.length(f) // longest) for f in batch]
        return [{"frames": row[:n].tolist()} for row, n in zip(best, counts, strict=True)]

    def answer(
        self,
        session: Session,
        features: Sequence[Features],
        processor: SpeechProcessor,
        limits: Any = None,
        on_text: Callable[[str], None] | None = None,
    ) -> list[Prediction]:
        """``text``, which the frames spell."""
        found = super().answer(session, features, processor)
        return [{"text": spelt(each["frames"], processor.text)} for each in found]

    def score(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Any, processor: Any
    ) -> Quality:
        """``wer``, the share of words that must be changed."""
        return Quality(
            {"wer": float(self.headline_of(self.resample(predictions, rows, labels).sum(axis=0)))}
        )

    def resample(self, predictions: Any, rows: Any, labels: Any) -> np.ndarray:
        """(changes, words) of each example, float64 [n, 2]."""
        pairs = zip((p["text"] for p in predictions), (row["text"] for row in rows), strict=True)
        counts = [[edits(own.split(), other.split()), len(other.split())] for own, other in pairs]
        return np.array(counts, dtype=np.float64)

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        """The changes of a word for summed counts [..., 2]."""
        return np.asarray(counts[..., 0] / counts[..., 1])

    def request(self, requests: Sequence[Request]) -> list[Row]:
        """A sound for each path, or mapping with ``audio``."""
        return sounds(requests)

    def samples(self) -> list[Row]:
        """Noises of different lengths."""
        draws = np.random.default_rng(0)
        return sounds([{"audio": draws.normal(size=n).tolist()} for n in (800, 1000, 1500, 4000)])

    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> Shown:
        """The text."""
        return {"text": prediction["text"]}


@hookimpl
def compress_tasks() -> Sequence[type[Task[Any]]]:
    """The task of this plugin."""
    return [Speech]
