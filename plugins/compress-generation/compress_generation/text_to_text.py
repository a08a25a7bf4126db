"""Tasks whose models answer a text by a text: ``text2text-generation``, ``translation`` and
``summarization``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from compress.architecture import ModelConfig
from compress.generation import Limits, settings_of
from compress.measurement import Direction
from compress.request import Request, texts_of
from compress.rows import Columns
from compress.session import Session, generate
from compress.sizes import positions
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
    Shown,
    Task,
    TextTaskOptions,
)
from compress_generation import ngrams, pairs
from compress_generation.marian import MarianProcessor, is_marian
from compress_generation.pair_processor import PairProcessor
from compress_generation.pairs import PairReader

_PACKAGES = ("rouge_score", "sacrebleu", "sentencepiece")


class PairOptions(TextTaskOptions):
    """Options of all tasks that answer a text by a text. Quality is measured with
    ``target_length``, ``beams`` and ``length_penalty``."""

    max_length: int = Field(
        default=128, ge=4, description="Tokens kept of a source; what is longer is cut."
    )
    target_length: int = Field(
        default=128,
        ge=2,
        description="Tokens of a target or an answer, with its end; what is longer is cut.",
    )
    prefix: str = Field(
        default="",
        description="Text before each source, such as 'summarize: ' for T5, or '>>deu<< ' for a "
        "Marian model of several languages.",
    )
    beams: int = Field(
        default=1, ge=1, description="Answers that a search compares as they grow; 1: no search."
    )
    length_penalty: float = Field(
        default=1.0,
        description="Power of an answer's length by which its log-probability is divided in a "
        "search: above 1 longer answers win more often.",
    )

    def limit(self, config: ModelConfig) -> str | None:
        """More tokens than the model has positions for, in a source or in a target."""
        most = positions(config)
        if most is not None and self.target_length > most:
            return (
                f"keeps {self.target_length} tokens of a target, and the model has {most} "
                f"positions: set target_length: {most}"
            )
        return super().limit(config)

    def fitted(self, config: ModelConfig) -> Self:
        """With no more tokens than the model has positions for."""
        most = positions(config) or self.target_length
        fitted = super().fitted(config)
        return fitted.model_copy(update={"target_length": min(self.target_length, most)})


class SummaryOptions(PairOptions):
    """Options of ``summarization``: sources are longer than their summaries."""

    max_length: int = Field(
        default=512, ge=4, description="Tokens kept of a source; what is longer is cut."
    )


class TranslationOptions(PairOptions):
    """Options of ``translation``."""

    source_language: str | None = Field(
        default=None,
        description="The source's language, as the tokenizer of mBART (en_XX) or NLLB (eng_Latn) "
        "calls it; none for a model of two languages.",
    )
    target_language: str | None = Field(
        default=None, description="The language of the target, in the same way."
    )
    bleu_words: Literal["13a", "intl", "zh", "char"] = Field(
        default="13a",
        description="What BLEU takes for a word: sacrebleu's tokenizer. 13a for languages with "
        "spaces, intl for their Unicode punctuation too, zh for Chinese, char for each character.",
    )


class TextToText(Task[PairOptions]):
    """Models with an encoder, which reads a source, and a decoder, which writes the target."""

    name = "text2text-generation"
    summary = "A text is answered by a text."
    kind = "text2text-generation"
    columns = (
        Column("source", "The text that is asked, or a list of texts that are joined by spaces."),
        Column(
            "target",
            "The text that answers it, or a list of right answers: the first is learnt, all score.",
            is_target=True,
        ),
    )
    headline = "chrf"
    directions: ClassVar[Mapping[str, Direction]] = dict.fromkeys(
        ("bleu", "chrf", "rouge1", "rouge2", "rougeL", "exact_match"), "higher"
    )
    Options: ClassVar[type[PairOptions]] = PairOptions
    RequestOptions: ClassVar[type[Limits]] = Limits
    processor_class = PairProcessor
    special_tokens = SpecialTokens(
        MappingProxyType({"pad": "<pad>", "eos": "</s>", "unk": "<unk>"}), single="$A </s>"
    )
    streams = "answer"
    packages = _PACKAGES
    extra = "generation"
    card = CardInfo("A text that is to be answered.")

    # models

    def processor(self, folder: str | Path) -> PairReader:
        """What reads pairs with the tokenizer of a model folder."""
        if is_marian(Path(folder)):
            return MarianProcessor.load(folder)
        return PairProcessor.load(folder)

    def processor_mistake(self, processor: PairReader) -> str | None:
        """No end token, or a language that is not set."""
        return processor.mistake()

    def limits(self) -> Limits:
        """How answers are generated where quality is measured."""
        own = self.options
        return Limits(
            max_new_tokens=own.target_length, beams=own.beams, length_penalty=own.length_penalty
        )

    def generation(self, folder: Path) -> Mapping[str, Any]:
        """The limits, and the language with which answers begin, if there is one. transformers
        counts its token as one of the answer."""
        settings, first = settings_of(self.limits()), self.processor(folder).begin[1:]
        if not first:
            return settings
        most = self.options.target_length + len(first)
        return {**settings, "max_new_tokens": most, "forced_bos_token_id": first[0]}

    # examples

    def labels(
        self, splits: Mapping[str, Iterable[Columns]], declared: Sequence[str] | None
    ) -> list[str]:
        """None: targets are texts."""
        return []

    def normalise(self, columns: Columns, labels: Sequence[str]) -> Columns:
        """``source``, ``target`` and ``references``, as ``pairs.pairs_of`` makes them."""
        return pairs.pairs_of(columns)

    def features(self, rows: Sequence[Row], processor: PairReader) -> list[Features]:
        """``input_ids`` of the source, and ``labels``, the ids of the target with its end."""
        own = self.options
        return pairs.features_of(rows, processor, own.prefix, own.max_length, own.target_length)

    def collate(
        self,
        features: Sequence[Features],
        processor: PairReader,
        generator: np.random.Generator | None = None,
    ) -> Batch:
        """``input_ids`` and ``attention_mask``; with targets, ``labels`` and the decoder's
        input."""
        return pairs.collate(features, processor)

    def with_answer(self, row: Row, prediction: Prediction) -> Row:
        """The row with the answer as its target."""
        return {**row, "target": prediction["answer"]}

    # answers

    def prompts(self, features: Sequence[Features], processor: PairReader) -> Batch:
        """The sources, and what an answer begins with."""
        return pairs.prompts_of(features, processor)

    def answer(
        self,
        session: Session,
        features: Sequence[Features],
        processor: PairReader,
        limits: Any = None,
        on_text: Callable[[str], None] | None = None,
    ) -> list[Prediction]:
        """The generated text of each example as ``answer``, and its ``tokens``."""
        on_token = processor.told(on_text) if on_text else None
        batch = self.prompts(features, processor)
        return [
            {"answer": processor.decode(tokens).strip(), "tokens": tokens}
            for tokens in generate(session, batch, limits or self.limits(), on_token)
        ]

    def score(
        self,
        predictions: Sequence[Prediction],
        rows: Sequence[Row],
        labels: Sequence[str],
        processor: Any,
    ) -> Quality:
        """chrF and BLEU by sacrebleu (0 to 100), ROUGE by rouge-score (0 to 1), and the share of
        answers that equal a reference."""
        from compress.scoring import quality
        from compress_generation.metrics import TextMetric

        return quality(
            TextMetric,
            [one["answer"] for one in predictions],
            pairs.references_of(rows),
            words=self._bleu_words,
        )

    def resample(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> np.ndarray:
        """The counts of the headline of each example."""
        from compress_generation import metrics

        answers, references = [one["answer"] for one in predictions], pairs.references_of(rows)
        return metrics.counts_of(self.headline, answers, references, self._bleu_words)

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        """The headline of summed counts."""
        return ngrams.OF_COUNTS[self.headline](counts)

    @property
    def _bleu_words(self) -> str:
        return getattr(self.options, "bleu_words", "13a")

    # serving

    def samples(self) -> list[Row]:
        """Rows to export with: texts, of which each is its own target."""
        return [{"source": text, "target": text} for text in SAMPLE_TEXTS]

    def request(self, requests: Sequence[Request]) -> list[Row]:
        """Texts to answer."""
        return [{"source": row["text"]} for row in texts_of(requests, ("text",))]

    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> Shown:
        """The text and its answer."""
        return {"text": row["source"], "answer": prediction["answer"]}


class Translation(TextToText):
    """Texts of one language answered in another."""

    name = "translation"
    summary = "A text of one language is answered in another."
    kind = "translation"
    headline = "bleu"
    Options = TranslationOptions
    options: TranslationOptions

    def processor(self, folder: str | Path) -> PairReader:
        """What reads pairs of the two languages with the tokenizer of a model folder."""
        own = self.options
        return super().processor(folder).speaking(own.source_language, own.target_language)


class Summarization(TextToText):
    """Long texts answered by short ones."""

    name = "summarization"
    summary = "A long text is answered by a short one."
    kind = "summarization"
    headline = "rougeL"
    Options = SummaryOptions
