"""The task ``seq2seq``: a text is answered by a text, as in translation and summaries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from compress import hookimpl
from compress.generation import Limits
from compress.request import Request, texts_of
from compress.rows import Columns
from compress.session import Session, generate
from compress.task import (
    SAMPLE_TEXTS,
    Batch,
    Column,
    Features,
    Prediction,
    Quality,
    Row,
    RowError,
    Shown,
    Task,
)
from compress_seq2seq.chrf import chrf, counts_of
from compress_seq2seq.examples import AnsweringProcessor, Seq2SeqOptions, collate, features_of


class Seq2Seq(Task[Seq2SeqOptions]):
    """Models with an encoder, which reads the source, and a decoder, which writes the target."""

    name = "seq2seq"
    summary = "A text is answered by a text: translation, summaries."
    kind = "text2text-generation"
    columns = (
        Column("source", "The text that is asked."),
        Column("target", "The text that answers it.", is_target=True),
    )
    headline = "chrf"
    directions = {"exact_match": "higher"}
    Options = Seq2SeqOptions
    RequestOptions: ClassVar[type[Limits]] = Limits
    processor_class = AnsweringProcessor
    streams = "answer"

    def labels(
        self, splits: Mapping[str, Iterable[Columns]], declared: Sequence[str] | None
    ) -> list[str]:
        """None: targets are texts."""
        return []

    def normalise(self, columns: Columns, labels: Sequence[str]) -> Columns:
        """Sources and targets."""
        made = {name: list(columns.get(name, ())) for name in ("source", "target")}
        for name, texts in made.items():
            if not all(isinstance(text, str) and text.strip() for text in texts):
                raise RowError(f"{name} is empty")
        return made

    def features(self, rows: Sequence[Row], processor: AnsweringProcessor) -> list[Features]:
        """``input_ids`` of the source, and ``labels``, the ids of the target with its end."""
        return features_of(rows, processor, self.options.max_length, self.options.target_length)

    def collate(
        self,
        features: Sequence[Features],
        processor: AnsweringProcessor,
        generator: np.random.Generator | None = None,
    ) -> Batch:
        """``input_ids`` and ``attention_mask``; with targets, ``labels`` and the decoder's input,
        which are the labels one place to the right."""
        return collate(features, processor)

    def with_answer(self, row: Row, prediction: Prediction) -> Row:
        """The row with the answer as its target."""
        return {**row, "target": prediction["answer"]}

    def prompts(self, features: Sequence[Features], processor: AnsweringProcessor) -> Batch:
        """The sources."""
        asked = [{"input_ids": one["input_ids"]} for one in features]
        return self.collate(asked, processor)

    def limits(self) -> Limits:
        """By the options ``target_length`` and ``beams``."""
        return Limits(max_new_tokens=self.options.target_length, beams=self.options.beams)

    def answer(
        self,
        session: Session,
        features: Sequence[Features],
        processor: AnsweringProcessor,
        limits: Any = None,
        on_text: Callable[[str], None] | None = None,
    ) -> list[Prediction]:
        """The ``answer`` to each example, and its ``tokens``."""
        batch = self.prompts(features, processor)
        on_token = processor.told(on_text) if on_text else None
        answers = generate(session, batch, limits or self.limits(), on_token)
        return [{"answer": processor.decode(tokens), "tokens": tokens} for tokens in answers]

    def score(
        self,
        predictions: Sequence[Prediction],
        rows: Sequence[Row],
        labels: Sequence[str],
        processor: AnsweringProcessor,
    ) -> Quality:
        """``chrf`` of all answers together, and the share of answers that equal the target."""
        pairs = zip(predictions, rows, strict=True)
        exact = float(np.mean([one["answer"] == row["target"] for one, row in pairs]))
        counts = self.resample(predictions, rows, labels).sum(axis=0)
        return Quality({"chrf": float(self.headline_of(counts)), "exact_match": exact})

    def resample(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> np.ndarray:
        """The counts of chrF of each example."""
        pairs = zip(predictions, rows, strict=True)
        return np.array([counts_of(one["answer"], row["target"]) for one, row in pairs])

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        """chrF of summed counts."""
        return chrf(counts)

    def samples(self) -> list[Row]:
        """Rows to export with: texts, of which each is its own target."""
        return [{"source": text, "target": text} for text in SAMPLE_TEXTS]

    def request(self, requests: Sequence[Request]) -> list[Row]:
        """Texts to answer."""
        return [{"source": row["text"]} for row in texts_of(requests, ("text",))]

    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> Shown:
        """The text and its answer."""
        return {"text": row["source"], "answer": prediction["answer"]}


@hookimpl
def compress_tasks() -> list[type[Task[Any]]]:
    """The task of this plugin."""
    return [Seq2Seq]
