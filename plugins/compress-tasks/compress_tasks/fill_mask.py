"""``fill-mask``: masked language modelling, by which encoders are pretrained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
from pydantic import Field
from tokenizers import Encoding

from compress.errors import UsageError
from compress.padding import model_inputs, pad
from compress.processor import TextProcessor
from compress.request import Request, texts_of
from compress.rows import Columns
from compress.task import (
    Batch,
    CardInfo,
    Column,
    Decision,
    Features,
    Prediction,
    Quality,
    Row,
    Shown,
    Task,
    TextTaskOptions,
)
from compress_tasks import masking, statistics
from compress_tasks.cells import read_texts

MASK = "[MASK]"
"""What a user writes for a mask, whatever the tokenizer calls it."""

_TOP = 5
"""Tokens that are shown for a mask of a request."""


class FillMaskOptions(TextTaskOptions):
    """Options of ``fill-mask``."""

    mask_probability: float = Field(
        default=0.15,
        gt=0,
        lt=1,
        description="Share of an example's tokens that the model is asked for; at least one.",
    )


class FillMask(Task[FillMaskOptions]):
    """Masked language modelling on plain text; the text itself is the reference."""

    name = "fill-mask"
    summary = "Masked language modelling: the tokens that were hidden in a text."
    synonyms = ("mlm", "masked-lm")
    kind = "fill-mask"
    columns = (Column("text", "Plain text; a row is an example."),)
    headline = "accuracy"
    directions = {"loss": "lower", "perplexity": "lower"}
    Options = FillMaskOptions
    draws_inputs = True
    card = CardInfo(
        example=f"A text to {MASK} it on.",
        reading=(
            "# logits: [1, tokens, vocabulary], before softmax\n"
            "print(tokenizer.decode([int(i) for i in logits[0].argmax(-1)]))"
            "  # the likeliest token at each place\n"
        ),
    )

    def labels(
        self, splits: Mapping[str, Iterable[Columns]], declared: Sequence[str] | None
    ) -> list[str]:
        """None: the vocabulary is the tokenizer's."""
        return []

    def normalise(self, columns: Columns, labels: Sequence[str]) -> Columns:
        """``text``. Raises RowError where it is missing or empty."""
        return {"text": read_texts(columns, "text")}

    def features(self, rows: Sequence[Row], processor: TextProcessor) -> list[Features]:
        """``input_ids`` and ``maskable``, the positions of ordinary tokens. Raises
        UsageError where the tokenizer has no mask token.

        A request has ``masks`` instead, the positions to fill, and ``decode``, which turns
        ids into text."""
        mask = str(processor.tokenizer.id_to_token(masking.mask_id(processor)))
        texts = [
            row["text"].replace(MASK, mask) if row.get("request") else row["text"] for row in rows
        ]
        encodings = processor.encode(texts, max_length=self.options.max_length)
        examples = []
        for row, encoding in zip(rows, encodings, strict=True):
            if row.get("request"):
                features = _request_features(row, encoding, processor)
            else:
                features = model_inputs(row, encoding, processor)
                features["maskable"] = masking.maskable(encoding, processor)
            examples.append(features)
        return examples

    def collate(
        self,
        features: Sequence[Features],
        processor: TextProcessor,
        generator: np.random.Generator | None = None,
    ) -> Batch:
        """Padded arrays in which masks were drawn. ``labels`` int64 [batch, length] hold
        the ids that were there before, and IGNORED at other positions.

        Requests keep their own masks and have no ``labels``."""
        batch = pad(features, processor)
        if any("masks" in f for f in features):
            return batch
        batch["labels"] = masking.unlabelled(batch)
        for row, f in enumerate(features):
            draws = generator or masking.own_generator(f)
            masking.hide(batch, row, self._chosen(f, draws), processor, draws)
        return batch

    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Features]
    ) -> list[Prediction]:
        """What ``compress_tasks.masking.counted`` says of each example.

        For a request ``top``: the five likeliest ``{token, id, score}`` at each mask."""
        logits = outputs["logits"]  # [batch, length, vocabulary]
        return [
            _top(row[f["masks"]], f) if "masks" in f else self._counted(row, f)
            for row, f in zip(logits, batch, strict=True)
        ]

    def score(
        self,
        predictions: Sequence[Prediction],
        rows: Sequence[Row],
        labels: Sequence[str],
        processor: TextProcessor,
    ) -> Quality:
        """``accuracy`` over all masked tokens, their mean ``loss`` in nats, and
        ``perplexity``."""
        from compress.scoring import quality
        from compress_tasks.metrics import MaskedTokenMetric

        return quality(
            MaskedTokenMetric, [[p["correct"], p["masked"], p["nll"]] for p in predictions]
        )

    def resample(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> np.ndarray:
        """(correct, masked) of each example, float64 [n, 2]."""
        return np.array([[p["correct"], p["masked"]] for p in predictions], dtype=np.float64)

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        """Accuracy for summed counts [..., 2] -> [...]."""
        return statistics.ratio(counts)

    def most_frequent(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> list[Prediction] | None:
        """The token that was hidden most often, at each mask; its loss is that of the hidden
        tokens' frequencies. None if nothing was hidden.

        What was hidden stands in the ``predictions``: the tokenizer is not known here."""
        counts = Counter(chain.from_iterable(p["wanted"] for p in predictions))
        if not counts:
            return None
        return [masking.by_frequency(p["wanted"], counts) for p in predictions]

    def decisions(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> list[Decision]:
        """One for each masked token, in the order of the draw; a token's id is its
        class."""
        return masking.masked_decisions(prediction)

    def request(self, requests: Sequence[Request]) -> list[Row]:
        """Rows whose masks are to be filled. Each text holds the tokenizer's mask token or
        ``[MASK]``."""
        return [{**row, "request": True} for row in texts_of(requests, ("text",))]

    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> Shown:
        """The text and, for each of its masks, the likeliest tokens with their
        probabilities."""
        masks = []
        for top in prediction["top"]:
            masks.append([{"token": t["token"], "score": t["score"]} for t in top])
        return {"text": row["text"], "masks": masks}

    def _chosen(self, features: Features, draws: np.random.Generator) -> np.ndarray:
        return masking.chosen(features["maskable"], self.options.mask_probability, draws)

    def _counted(self, logits: np.ndarray, features: Features) -> Prediction:
        """The counts of an example whose masks came from its own generator; ``logits`` are
        [length, vocabulary]. Equal seeds give the positions again."""
        positions = self._chosen(features, masking.own_generator(features))
        return masking.counted(logits, positions, features["input_ids"])


def _request_features(row: Row, encoding: Encoding, processor: TextProcessor) -> Features:
    mask = masking.mask_id(processor)
    masks = [position for position, token in enumerate(encoding.ids) if token == mask]
    if not masks:
        raise UsageError(
            f"{row['text']!r} has no {MASK} among the tokens that are kept; write it where one is "
            "missing"
        )
    return model_inputs(row, encoding, processor) | {
        "masks": masks,
        "decode": processor.tokenizer.decode,
    }


def _top(logits: np.ndarray, features: Features) -> Prediction:
    """The likeliest tokens for ``logits`` [masks, vocabulary], best first."""
    shares = np.exp(masking.log_softmax(logits))
    best = np.argsort(-shares, axis=-1, kind="stable")[:, :_TOP]
    top = []
    for row, ids in zip(shares, best.tolist(), strict=True):
        tokens = [features["decode"]([i]).strip() for i in ids]
        top.append(
            [
                {"token": token, "id": i, "score": float(row[i])}
                for token, i in zip(tokens, ids, strict=True)
            ]
        )
    return {"top": top}
