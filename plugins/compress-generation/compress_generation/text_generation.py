"""``text-generation``: language models that continue a text, complete a prompt, or answer in a
conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from compress.distillable import Distillable
from compress.generation import Limits, settings_of
from compress.measurement import Direction
from compress.processor import TextProcessor
from compress.request import Request
from compress.rows import Columns
from compress.session import Session, generate
from compress.specialtokens import SpecialTokens
from compress.task import (
    SAMPLE_TEXTS,
    Batch,
    CardInfo,
    Column,
    Features,
    Prediction,
    Quality,
    Row,
    RowError,
    Shown,
    Task,
    by_row,
)
from compress_generation import completions, likelihood, passages, requests
from compress_generation.batches import padded
from compress_generation.forms import TEXT, checked, common_form, form_of, reference
from compress_generation.language_options import TextGenerationOptions

_END = "<|endoftext|>"
_COMPARED = ("exact_match", "rougeL")
"""The scores of answers that are compared with what the model should write."""


class TextGeneration(Task[TextGenerationOptions]):
    """Each token is predicted from those before it: of texts, of completions, or of a model's
    messages. A request is continued, or answered."""

    name = "text-generation"
    summary = "Language modelling: texts, completions of prompts, and conversations."
    synonyms = ("causal-lm", "language-modelling")
    kind = "text-generation"
    columns = (
        Column("text", "Plain text; neighbours are joined and cut into windows.", required=False),
        Column("prompt", "What a completion follows.", required=False),
        Column("completion", "What the model writes.", required=False, is_target=True),
        Column("messages", "A conversation: a list of {role, content}.", required=False),
    )
    headline = "perplexity"
    higher_is_better = False
    directions: ClassVar[Mapping[str, Direction]] = MappingProxyType(
        {"loss": "lower", "bits_per_byte": "lower", **dict.fromkeys(_COMPARED, "higher")}
    )
    packages = ("rouge_score", "sacrebleu")
    extra = "generation"
    Options = TextGenerationOptions
    card = CardInfo(
        "Once upon a time", "print(tokenizer.decode(tokens, skip_special_tokens=True))\n"
    )
    RequestOptions: ClassVar[type[Limits]] = Limits
    streams = "generated"
    special_tokens = SpecialTokens(MappingProxyType({"bos": _END, "eos": _END}), is_exact=True)

    def needed_packages(self) -> tuple[str, ...]:
        """All where answers are compared, else none."""
        return self.packages if self.options.answers else ()

    def labels(
        self, splits: Mapping[str, Iterable[Columns]], declared: Sequence[str] | None
    ) -> list[str]:
        """None. Raises RowError where the rows of all splits are not of one form, or have no
        answers to compare with."""
        if common_form(splits) == TEXT and self.options.answers:
            raise RowError(
                "answers is true, and rows of text have none: give prompt and completion"
            )
        return []

    def normalise(self, columns: Columns, labels: Sequence[str]) -> Columns:
        """The columns of the rows' form."""
        form_of(columns)
        return by_row(checked, columns)

    def gathered(self, columns: Columns) -> Columns:
        """Texts in passages: ``text`` is then a list of neighbours. Other rows as they are."""
        if "text" not in columns:
            return columns
        return {"text": passages.joined(columns["text"], self.options.max_length)}

    def processor_mistake(self, processor: TextProcessor) -> str | None:
        """A tokenizer without an end token."""
        if processor.token_id("eos") is not None:
            return None
        return (
            "what a model writes ends with the end token, and its tokenizer has none: set "
            "eos_token in tokenizer_config.json"
        )

    def features(self, rows: Sequence[Row], processor: TextProcessor) -> list[Features]:
        """The windows of passages, prompts with their completions, or requests, which have no
        ``labels``."""
        most, stride = self.options.max_length, self.options.stride
        if rows and rows[0].get("request"):
            return [{"input_ids": ids} for ids in requests.prompts(rows, processor)]
        if rows and "text" in rows[0]:
            return passages.windows([row["text"] for row in rows], processor, most, stride)
        return completions.features(rows, processor, most)

    def collate(
        self,
        features: Sequence[Features],
        processor: TextProcessor,
        generator: np.random.Generator | None = None,
    ) -> Batch:
        """``input_ids``, ``attention_mask`` and ``labels``, padded on the right."""
        return padded(features, processor.pad_id)

    def counted(self, batch: Mapping[str, Any]) -> int:
        """The labels that are predicted: nothing stands before the first token."""
        return int(likelihood.have_next(batch["labels"]).sum())

    def distillable(
        self, outputs: Mapping[str, Any], batch: Mapping[str, Any]
    ) -> list[Distillable]:
        """The next token, at each token whose next one is a label."""
        return [Distillable(outputs["logits"], likelihood.have_next(batch["labels"]))]

    def with_answer(self, row: Row, prediction: Prediction) -> Row:
        """The row with the answer as its completion."""
        return completions.with_completion(row, prediction["answer"])

    def prompts(self, features: Sequence[Features], processor: TextProcessor) -> Batch:
        """Requests as they are, the prompts of completions, and the first half of a window."""
        return padded([{"input_ids": _prompt(one)} for one in features], processor.pad_id)

    def limits(self) -> Limits:
        """By the option ``max_new_tokens``, greedily."""
        return Limits(max_new_tokens=self.options.max_new_tokens)

    def generation(self, folder: Path) -> Mapping[str, Any]:
        """The limits, if answers are measured."""
        return settings_of(self.limits()) if self.options.answers else {}

    def answer(
        self,
        session: Session,
        features: Sequence[Features],
        processor: TextProcessor,
        limits: Any = None,
        on_text: Callable[[str], None] | None = None,
    ) -> list[Prediction]:
        """How probable the labels are, by ``predictions``, and with the option ``answers`` what the
        model writes in their place; for requests, what follows them."""
        if limits is not None:
            return self._written(session, features, processor, limits, on_text)
        found: list[Prediction] = []
        for some in likelihood.calls(features, processor.tokenizer.get_vocab_size()):
            found += self.predictions(session.run(self.collate(some, processor)), some)
        if not self.options.answers:
            return found
        written = self._written(session, features, processor, self.limits())
        return [{**one, **other} for one, other in zip(found, written, strict=True)]

    def _written(
        self,
        session: Session,
        features: Sequence[Features],
        processor: TextProcessor,
        limits: Any,
        on_text: Callable[[str], None] | None = None,
    ) -> list[Prediction]:
        """What the model writes after each prompt, as ``answer``, and its ``tokens``."""
        on_token = processor.told(on_text) if on_text else None
        written = generate(session, self.prompts(features, processor), limits, on_token)
        return [{"answer": processor.decode(ids), "tokens": ids} for ids in written]

    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Features]
    ) -> list[Prediction]:
        """``nll``, in nats, summed over the ``count`` labels of each example; ``bytes`` of a
        completion."""
        return [
            {**likelihood.of_next(logits, one["labels"]), "bytes": one.get("bytes", 0)}
            for logits, one in zip(outputs["logits"], batch, strict=True)
        ]

    def join(self, parts: Sequence[Prediction], row: Row) -> Prediction:
        """The sums over a row's windows or messages, with the ``bytes`` of its text."""
        if "nll" not in parts[0]:
            return parts[0]
        joined: Prediction = {
            name: sum(part[name] for part in parts) for name in ("nll", "count", "bytes")
        }
        if "text" in row:
            joined["bytes"] = sum(len(text.encode()) for text in row["text"])
        if "answer" in parts[0]:
            joined["answer"] = "\n".join(part["answer"] for part in parts)
            joined["tokens"] = [token for part in parts for token in part["tokens"]]
        return joined

    def score(
        self,
        predictions: Sequence[Prediction],
        rows: Sequence[Row],
        labels: Sequence[str],
        processor: TextProcessor,
    ) -> Quality:
        """``perplexity`` over all tokens, their mean ``loss`` in nats, and ``bits_per_byte``; of
        answers the share that equals what was wanted, and ROUGE-L (0 to 1), spaces around them
        aside."""
        bits = likelihood.bits_per_byte(predictions)
        found = {**likelihood.scores(predictions), "bits_per_byte": bits}
        if not self.options.answers:
            return Quality(found)
        from compress.scoring import quality
        from compress_generation.metrics import TextMetric

        texts = [one["answer"].strip() for one in predictions]
        wanted = [[reference(row).strip()] for row in rows]
        compared = quality(TextMetric, texts, wanted, words="13a").metrics
        return Quality({**found, **{name: compared[name] for name in _COMPARED}})

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

    def request(self, asked: Sequence[Request]) -> list[Row]:
        """Texts to continue, or conversations to answer: ``{messages: [...]}``."""
        return requests.rows_of(asked)

    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> Shown:
        """What was asked, and what the model wrote."""
        asked = {name: row[name] for name in ("text", "messages") if name in row}
        return {**asked, "generated": prediction["answer"]}


def _prompt(features: Features) -> Sequence[int]:
    """What the model continues."""
    ids: Sequence[int] = features["input_ids"]
    if "labels" not in features:
        return ids
    return ids[: features.get("prompt", max(1, len(ids) // 2))]
