"""``span-corruption``: the task that T5 is pretrained with. It is learnt from text alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from compress.generation import Limits
from compress.processor import TextProcessor
from compress.request import Request, texts_of
from compress.rows import Columns
from compress.session import Session, generate
from compress.specialtokens import SpecialTokens
from compress.task import (
    IGNORED,
    SAMPLE_TEXTS,
    Batch,
    Column,
    Features,
    Prediction,
    Quality,
    Row,
    Shown,
    Task,
    TextTaskOptions,
    by_row,
)
from compress_generation import likelihood, passages, spans
from compress_generation.batches import padded
from compress_generation.forms import checked

_SENTINELS = tuple(f"<extra_id_{number}>" for number in range(100))
"""The names that T5's own tokenizer gives them."""


class SpanCorruptionOptions(TextTaskOptions):
    """Options of ``span-corruption``."""

    max_length: int = Field(
        default=256, ge=4, description="Tokens of a window of text, from which spans are hidden."
    )
    hidden_share: float = Field(
        default=0.15, gt=0, lt=1, description="Share of the tokens that are hidden."
    )
    span_length: float = Field(default=3.0, ge=1, description="Tokens of a hidden span on average.")


class SpanCorruption(Task[SpanCorruptionOptions]):
    """Spans of a text are hidden behind sentinels, and the model writes them. Training draws them
    anew in each epoch; a measurement hides the same spans of a text each time."""

    name = "span-corruption"
    summary = "T5's pretraining: the spans that were hidden in a text."
    kind = "text2text-generation"
    columns = (Column("text", "Plain text; neighbours are joined and cut into windows."),)
    headline = "perplexity"
    higher_is_better = False
    directions = MappingProxyType({"loss": "lower"})
    Options = SpanCorruptionOptions
    RequestOptions: ClassVar[type[Limits]] = Limits
    streams = "generated"
    draws_inputs = True
    special_tokens = SpecialTokens(
        MappingProxyType({"pad": "<pad>", "eos": "</s>", "unk": "<unk>"}),
        more=_SENTINELS,
        single="$A </s>",
        pair="$A </s> $B </s>",
        is_exact=True,
    )

    def labels(
        self, splits: Mapping[str, Iterable[Columns]], declared: Sequence[str] | None
    ) -> list[str]:
        """None."""
        return []

    def normalise(self, columns: Columns, labels: Sequence[str]) -> Columns:
        """The texts."""
        return by_row(checked, columns)

    def gathered(self, columns: Columns) -> Columns:
        """Texts in passages: ``text`` is then a list of neighbours."""
        return {"text": passages.joined(columns["text"], self.options.max_length)}

    def processor_mistake(self, processor: TextProcessor) -> str | None:
        """A tokenizer without an end token, or without two sentinels."""
        if processor.token_id("eos") is None or len(_sentinels(processor)) < 2:
            return (
                f"its tokenizer has no end token, or not the sentinels {_SENTINELS[0]}, "
                f"{_SENTINELS[1]} and so on, which stand for what is hidden"
            )
        return None

    def features(self, rows: Sequence[Row], processor: TextProcessor) -> list[Features]:
        """``tokens`` of each window of a passage, none of them hidden; ``input_ids`` of a
        request."""
        if rows and rows[0].get("request"):
            most = self.options.max_length
            encodings = processor.encode([row["text"] for row in rows], max_length=most)
            return [{"input_ids": list(encoding.ids)} for encoding in encodings]
        size = self.options.max_length - 1  # the end token is one more
        made: list[Features] = []
        for place, row in enumerate(rows):
            ids = passages.plain_ids(row["text"], processor)
            starts = range(0, max(len(ids), 1), size)
            made += [{"row": place, "tokens": ids[start : start + size]} for start in starts]
        return made

    def length(self, features: Features) -> int:
        """Tokens of the text, with the end token."""
        return len(features["tokens"]) + 1 if "tokens" in features else len(features["input_ids"])

    def collate(
        self,
        features: Sequence[Features],
        processor: TextProcessor,
        generator: np.random.Generator | None = None,
    ) -> Batch:
        """``input_ids`` with sentinels; ``labels``, the hidden spans; ``decoder_input_ids``, the
        labels one place to the right. Requests are as they are."""
        if not all("tokens" in one for one in features):
            return padded(features, processor.pad_id)
        made = [self._drawn(one, processor, generator) for one in features]
        batch = padded([{"input_ids": source} for source, _ in made], processor.pad_id)
        wanted = padded([{"input_ids": target} for _, target in made], processor.pad_id)
        before = np.roll(wanted["input_ids"], 1, axis=1)
        before[:, 0] = processor.pad_id  # what T5's decoder starts with
        labels = np.where(wanted["attention_mask"] == 1, wanted["input_ids"], IGNORED)
        return {**batch, "labels": labels, "decoder_input_ids": before}

    def _drawn(
        self, features: Features, processor: TextProcessor, generator: np.random.Generator | None
    ) -> tuple[list[int], list[int]]:
        tokens, sentinels = features["tokens"], _sentinels(processor)
        draws = generator or np.random.default_rng(tokens)  # the same for a text in any batch
        share, mean = self.options.hidden_share, self.options.span_length
        mask = spans.hidden(len(tokens), share, mean, len(sentinels) - 1, draws)
        return spans.corrupted(tokens, mask, sentinels, passages.end_id(processor))

    def answer(
        self,
        session: Session,
        features: Sequence[Features],
        processor: TextProcessor,
        limits: Any = None,
        on_text: Callable[[str], None] | None = None,
    ) -> list[Prediction]:
        """How probable the hidden spans are; for requests, what the model writes, sentinels
        included."""
        batch = self.collate(features, processor)
        if limits is None:
            outputs = session.run(batch)["logits"]
            return [
                likelihood.of_labels(logits, labels)
                for logits, labels in zip(outputs, batch["labels"], strict=True)
            ]
        on_token = processor.told(on_text) if on_text else None
        return [
            {"answer": processor.tokenizer.decode(ids, skip_special_tokens=False), "tokens": ids}
            for ids in generate(session, batch, limits, on_token)
        ]

    def join(self, parts: Sequence[Prediction], row: Row) -> Prediction:
        """The sums over a row's windows."""
        if "nll" not in parts[0]:
            return parts[0]
        return {name: sum(part[name] for part in parts) for name in ("nll", "count")}

    def score(
        self,
        predictions: Sequence[Prediction],
        rows: Sequence[Row],
        labels: Sequence[str],
        processor: TextProcessor,
    ) -> Quality:
        """``perplexity`` of what was hidden, with its sentinels and end, and the mean ``loss``."""
        return Quality(likelihood.scores(predictions))

    def resample(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> np.ndarray:
        """(nll, count) of each row, float64 [n, 2]."""
        return likelihood.counts(predictions)

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        """The perplexity of summed counts [..., 2] -> [...]."""
        return likelihood.perplexity(counts)

    def samples(self) -> list[Row]:
        """Passages of a text each."""
        return [{"text": [text]} for text in SAMPLE_TEXTS]

    def request(self, requests: Sequence[Request]) -> list[Row]:
        """Texts in which sentinels stand for what is to be written."""
        return [{**row, "request": True} for row in texts_of(requests, ("text",))]

    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> Shown:
        """The text, and what the model wrote."""
        return {"text": row["text"], "generated": prediction["answer"]}


def _sentinels(processor: TextProcessor) -> list[int]:
    """The ids of the sentinels, in their order, up to the first that the tokenizer lacks."""
    found: list[int] = []
    for token in _SENTINELS:
        number = processor.tokenizer.token_to_id(token)
        if number is None:
            break
        found.append(number)
    return found
