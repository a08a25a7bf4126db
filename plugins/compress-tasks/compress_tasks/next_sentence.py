"""``next-sentence``: masked language modelling together with next-sentence prediction, as BERT was
pretrained. A row is a document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any

import numpy as np

from compress.architecture import ModelConfig
from compress.distillable import Distillable
from compress.errors import listed
from compress.padding import pad
from compress.processor import TextProcessor
from compress.request import Request, texts_of
from compress.rows import Columns, length_of
from compress.task import (
    IGNORED,
    Batch,
    CardInfo,
    Column,
    Decision,
    Features,
    Prediction,
    Quality,
    Row,
    RowError,
    Shown,
)
from compress_tasks import masking
from compress_tasks.confidence import likeliest
from compress_tasks.document_pairs import (
    FOLLOWS,
    drawn_pair,
    parts_of,
    passages_of_others,
)
from compress_tasks.fill_mask import FillMask

_CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "bert": "BertForPreTraining",
        "big_bird": "BigBirdForPreTraining",
        "ernie": "ErnieForPreTraining",
        "fnet": "FNetForPreTraining",
        "megatron-bert": "MegatronBertForPreTraining",
        "mobilebert": "MobileBertForPreTraining",
    }
)
"""The class in transformers with both heads, by family. Others of such a name have other heads."""
_TOKENS, _PAIR = "prediction_logits", "seq_relationship_logits"
_NAMES = ("follows", "other")


class NextSentence(FillMask):
    """Hidden tokens of a pair of texts, and whether the second follows the first. The model's loss
    is the sum of both. Of several processes, each weighs it by its hidden tokens."""

    name = "next-sentence"
    summary = (
        "Masked language modelling with next-sentence prediction, as BERT was pretrained: the "
        "tokens that were hidden in two texts, and whether the second follows the first."
    )
    synonyms = ("nsp", "bert-pretraining")
    kind = ""  # not that of its parent: the hub has no name for it
    columns = (Column("text", "A document; its sentences, or its lines, are paired."),)
    directions = {
        "loss": "lower",
        "masked_loss": "lower",
        "perplexity": "lower",
        "next_sentence_loss": "lower",
        "next_sentence_accuracy": "higher",
    }
    card = CardInfo(example="This is one sentence.\tThis is the next one.")

    @classmethod
    def model_class(cls, config: ModelConfig) -> str:
        """The class of the family that has both heads. A family without one is told by
        ``limit``."""
        return _CLASSES.get(str(config.get("model_type")), "AutoModelForNextSentencePrediction")

    def limit(self, config: ModelConfig) -> str | None:
        """Also that a family has no head for pairs."""
        kind = config.get("model_type")
        if kind in _CLASSES:
            return super().limit(config)
        return (
            f"asks whether a text follows another, and a {kind} model has no head for it: take one "
            f"of {listed(list(_CLASSES))}, or the task fill-mask"
        )

    def labels(
        self, splits: Mapping[str, Iterable[Columns]], declared: Sequence[str] | None
    ) -> list[str]:
        """None. Raises RowError for a split with a single document."""
        for split, chunks in splits.items():
            if sum(map(length_of, chunks)) < 2:
                raise RowError(
                    f"the {split} split has one document, and half of the pairs are of two; give "
                    "it more rows"
                )
        return []

    def normalise(self, columns: Columns, labels: Sequence[str]) -> Columns:
        """``text``, and ``other``, a passage of another document. Raises RowError."""
        texts = super().normalise(columns, labels)["text"]
        return {"text": texts, "other": passages_of_others(texts, self.options.max_length)}

    def features(self, rows: Sequence[Row], processor: TextProcessor) -> list[Features]:
        """The parts of each document, as ``compress_tasks.document_pairs.parts_of`` makes them.
        ``collate`` draws a pair from each.

        A request is a whole pair, with ``pair``."""
        masking.mask_id(processor)  # raises where there is none
        if rows and rows[0].get("request"):
            return self._requests(rows, processor)
        return parts_of(rows, self.options.max_length, processor)

    def _requests(self, rows: Sequence[Row], processor: TextProcessor) -> list[Features]:
        pairs = [(row["text"], row["text_pair"]) for row in rows]
        encodings = processor.encode(pairs, max_length=self.options.max_length)
        return [
            {"input_ids": one.ids, "token_type_ids": one.type_ids, "pair": True}
            for one in encodings
        ]

    def collate(
        self,
        features: Sequence[Features],
        processor: TextProcessor,
        generator: np.random.Generator | None = None,
    ) -> Batch:
        """Padded arrays of pairs in which masks were drawn, with ``labels`` as of ``fill-mask``,
        and ``next_sentence_label`` int64 [batch]: 0 where the second text follows the first, 1
        where it is of another document. Requests stay as they are."""
        if any("pair" in f for f in features):
            return pad(features, processor)
        lots = [generator or masking.own_generator(f) for f in features]
        pairs = [drawn_pair(f, draws) for f, draws in zip(features, lots, strict=True)]
        batch = pad(pairs, processor)
        batch["labels"] = masking.unlabelled(batch)
        for row, (pair, draws) in enumerate(zip(pairs, lots, strict=True)):
            masking.hide(batch, row, self._chosen(pair, draws), processor, draws)
        follow = [pair["next_sentence_label"] for pair in pairs]
        return {**batch, "next_sentence_label": np.array(follow, dtype=np.int64)}

    def distillable(
        self, outputs: Mapping[str, Any], batch: Mapping[str, Any]
    ) -> list[Distillable]:
        """The hidden tokens, and whether the second text follows."""
        hidden = batch["labels"] != IGNORED
        return [Distillable(outputs[_TOKENS], hidden), Distillable(outputs[_PAIR])]

    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Features]
    ) -> list[Prediction]:
        """What ``compress_tasks.masking.counted`` says of each example, and ``pairs``, of its one
        pair: the ``answer``, what was ``wanted``, the answer's ``confidence``, and the negative
        log-likelihood ``nll`` of what was wanted, in nats.

        For a request ``follows``, the probability that the second text does."""
        logits = zip(outputs[_TOKENS], outputs[_PAIR], strict=True)
        return [
            {"follows": float(np.exp(masking.log_softmax(pair)[FOLLOWS]))}
            if "pair" in f
            else self._answered(tokens, pair, f)
            for (tokens, pair), f in zip(logits, batch, strict=True)
        ]

    def _answered(self, tokens: np.ndarray, pair: np.ndarray, features: Features) -> Prediction:
        draws = masking.own_generator(features)
        asked = drawn_pair(features, draws)
        counted = masking.counted(tokens, self._chosen(asked, draws), asked["input_ids"])
        wanted = asked["next_sentence_label"]
        answer, share = likeliest(pair)
        nll = -float(masking.log_softmax(pair)[wanted])
        told = {"answer": int(answer), "wanted": wanted, "confidence": float(share), "nll": nll}
        return {**counted, "pairs": [told]}

    def join(self, parts: Sequence[Prediction], row: Row) -> Prediction:
        """The sums and lists of all parts of a document."""
        if len(parts) == 1:
            return parts[0]
        names = ("answers", "wanted", "confidence", "pairs")
        lists = {name: [*chain.from_iterable(part[name] for part in parts)] for name in names}
        sums = {name: sum(part[name] for part in parts) for name in ("correct", "masked", "nll")}
        return {**sums, **lists}

    def score(
        self,
        predictions: Sequence[Prediction],
        rows: Sequence[Row],
        labels: Sequence[str],
        processor: TextProcessor,
    ) -> Quality:
        """``accuracy``, ``masked_loss`` and ``perplexity`` of the masked tokens;
        ``next_sentence_accuracy`` and ``next_sentence_loss`` of the pairs; ``loss``, the sum of the
        two losses. Losses are means, in nats."""
        tokens = dict(super().score(predictions, rows, labels, processor).metrics)
        pairs = [*chain.from_iterable(p["pairs"] for p in predictions)]
        masked = tokens.pop("loss")
        following = float(np.mean([pair["nll"] for pair in pairs]))
        right = [pair["answer"] == pair["wanted"] for pair in pairs]
        return Quality(
            {
                **tokens,
                "masked_loss": masked,
                "next_sentence_accuracy": float(np.mean(right)),
                "next_sentence_loss": following,
                "loss": masked + following,
            }
        )

    def decisions(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> list[Decision]:
        """One for each masked token, as of ``fill-mask``, then one for each pair."""
        pairs = [
            Decision(
                _NAMES[p["answer"]],
                p["answer"] == p["wanted"],
                _NAMES[p["wanted"]],
                p["confidence"],
            )
            for p in prediction["pairs"]
        ]
        return [*super().decisions(prediction, row, labels), *pairs]

    def request(self, requests: Sequence[Request]) -> list[Row]:
        """Two texts; in one text, a tab stands between them."""
        return [{**row, "request": True} for row in texts_of(requests, ("text", "text_pair"), 2)]

    def samples(self) -> list[Row]:
        """Pairs of different lengths."""
        return self.request([("It is one. " * n, "Two more.") for n in (1, 3, 9, 200)])

    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> Shown:
        """The two texts, and the probability that the second follows the first."""
        return {"text": row["text"], "text_pair": row["text_pair"], **prediction}
