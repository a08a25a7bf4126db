"""The task ``toy-causal-lm``: language models that continue a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from compress import hookimpl
from compress.distillable import Distillable
from compress.generation import Limits
from compress.processor import TextProcessor
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
from compress_causal_lm import examples
from compress_causal_lm.examples import CausalOptions


class CausalLm(Task[CausalOptions]):
    """Each token of a text is predicted from those before it; a request is continued."""

    name = "toy-causal-lm"
    summary = "Language modelling: the next token of a text; answers continue a text."
    kind = "text-generation"
    columns = (Column("text", "A text."),)
    headline = "perplexity"
    higher_is_better = False
    Options = CausalOptions
    RequestOptions: ClassVar[type[Limits]] = Limits
    streams = "generated"

    def labels(
        self, splits: Mapping[str, Iterable[Columns]], declared: Sequence[str] | None
    ) -> list[str]:
        """None."""
        return []

    def normalise(self, columns: Columns, labels: Sequence[str]) -> Columns:
        """The texts."""
        texts = columns.get("text", ())
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise RowError("text is empty")
        return {"text": list(texts)}

    def features(self, rows: Sequence[Row], processor: TextProcessor) -> list[Features]:
        """One of each text, or of each of its windows."""
        return examples.features(rows, processor, self.options.max_length, self.options.long)

    def collate(
        self,
        features: Sequence[Features],
        processor: TextProcessor,
        generator: np.random.Generator | None = None,
    ) -> Batch:
        """``input_ids``, ``attention_mask`` and ``labels``."""
        return examples.collate(features, processor.pad_id)

    def distillable(self, outputs: Any, batch: Any) -> list[Distillable]:
        """The next token, at each token that has one."""
        return [Distillable(outputs["logits"], examples.has_next(batch["labels"]))]

    def prompts(self, features: Sequence[Features], processor: TextProcessor) -> Batch:
        """Requests as they are, and the first half of a text."""
        return self.collate([examples.prompt(one) for one in features], processor)

    def answer(
        self,
        session: Session,
        features: Sequence[Features],
        processor: TextProcessor,
        limits: Any = None,
        on_text: Callable[[str], None] | None = None,
    ) -> list[Prediction]:
        """How probable texts are, by ``predictions``; for requests, how they go on."""
        if limits is None:
            return super().answer(session, features, processor)
        on_token = processor.told(on_text) if on_text else None
        answers = generate(session, self.prompts(features, processor), limits, on_token)
        return [{"generated": processor.decode(tokens), "tokens": tokens} for tokens in answers]

    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Features]
    ) -> list[Prediction]:
        """``nll``, in nats, summed over the ``count`` predicted tokens of each text."""
        ids = [one["input_ids"] for one in batch]
        return list(map(examples.counted, outputs["logits"], ids))

    def join(self, parts: Sequence[Prediction], row: Row) -> Prediction:
        """The sums over a text's windows."""
        names = ("nll", "count") if "nll" in parts[0] else ()
        return {name: sum(part[name] for part in parts) for name in names} or parts[0]

    def score(
        self,
        predictions: Sequence[Prediction],
        rows: Sequence[Row],
        labels: Sequence[str],
        processor: TextProcessor,
    ) -> Quality:
        """``perplexity`` over all tokens."""
        perplexity = self.headline_of(self.resample(predictions, rows, labels).sum(axis=0))
        return Quality({"perplexity": float(perplexity)})

    def resample(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> np.ndarray:
        """(nll, count) of each text."""
        return np.array([[one["nll"], one["count"]] for one in predictions], dtype=np.float64)

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        """The perplexity of summed counts."""
        return np.asarray(np.exp(counts[..., 0] / np.maximum(counts[..., 1], 1)))

    def samples(self) -> list[Row]:
        """Rows to export with, which are cut as rows are."""
        return [{"text": text} for text in SAMPLE_TEXTS]

    def request(self, requests: Sequence[Request]) -> list[Row]:
        """Texts to continue."""
        return [{**row, "request": True} for row in texts_of(requests, ("text",))]

    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> Shown:
        """The text and how it goes on."""
        return {"text": row["text"], "generated": prediction["generated"]}


@hookimpl
def compress_tasks() -> list[type[Task[Any]]]:
    """The task of this plugin."""
    return [CausalLm]
