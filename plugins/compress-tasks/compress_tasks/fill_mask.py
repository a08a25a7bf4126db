"""``fill-mask``: masked language modelling, by which encoders are pretrained.

15 % of the positions are chosen; of these 80 % become the mask token, 10 % a random token
and 10 % stay (Devlin et al. 2019, section 3.1). Training draws anew each time. An
evaluation draws from a generator that is seeded with the example's own ids. So an example
has the same masks in any batch, order and process, and models with one tokenizer answer the
same questions.
"""

from __future__ import annotations

import math
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
    IGNORED,
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
from compress_tasks import statistics
from compress_tasks.cells import read_texts
from compress_tasks.confidence import likeliest

MASK = "[MASK]"
"""What a user writes for a mask, whatever the tokenizer calls it."""

_SPECIAL = ("pad", "mask", "cls", "sep", "unk", "bos", "eos")
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
        mask = str(processor.tokenizer.id_to_token(_mask_id(processor)))
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
                features["maskable"] = _maskable(encoding, processor)
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
        batch["labels"] = np.full_like(batch["input_ids"], IGNORED)
        for ids, labels, f in zip(batch["input_ids"], batch["labels"], features, strict=True):
            draws = generator or _own_generator(f)
            positions = self._choose(f, draws)
            labels[positions] = ids[positions]  # before they are overwritten
            vocabulary = processor.tokenizer.get_vocab_size()
            _corrupt(ids, positions, _mask_id(processor), vocabulary, draws)
        return batch

    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Features]
    ) -> list[Prediction]:
        """Counts of each example: ``correct``, ``masked`` and ``nll``, the negative
        log-likelihood in nats, summed over the masked tokens. For each masked token its id
        (``wanted``), the id that was answered (``answers``) and its probability
        (``confidence``).

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
        from compress_tasks.metrics import MaskedTokenMetric, quality

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
        return [_by_frequency(p["wanted"], counts) for p in predictions]

    def decisions(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> list[Decision]:
        """One for each masked token, in the order of the draw; a token's id is its
        class."""
        masked = zip(
            prediction["answers"], prediction["wanted"], prediction["confidence"], strict=True
        )
        return [
            Decision(answer, answer == wanted, str(wanted), share)
            for answer, wanted, share in masked
        ]

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

    def _choose(self, features: Features, draws: np.random.Generator) -> np.ndarray:
        """The positions to mask, int64 [masked]: a share of the maskable ones, rounded, but
        at least one if there are any."""
        maskable = np.array(features["maskable"], dtype=np.int64)
        count = max(1, round(self.options.mask_probability * len(maskable)))
        # Sorting random numbers draws without replacement. Every position uses up one random
        # number, whatever the count, so the draws that follow do not shift.
        return maskable[draws.random(len(maskable)).argsort(kind="stable")[:count]]

    def _counted(self, logits: np.ndarray, features: Features) -> Prediction:
        """The counts of an example whose masks came from its own generator; ``logits`` are
        [length, vocabulary]. Equal seeds give the positions again."""
        positions = self._choose(features, _own_generator(features))
        wanted = np.array(features["input_ids"], dtype=np.int64)[positions]
        at_masks = logits[positions]  # [masked, vocabulary]
        nll = -_log_softmax(at_masks)[np.arange(len(wanted)), wanted]  # [masked]
        answers, confidence = likeliest(at_masks)
        return {
            "correct": int((answers == wanted).sum()),
            "masked": len(wanted),
            "nll": float(nll.sum()),
            "answers": answers.tolist(),
            "wanted": wanted.tolist(),
            "confidence": confidence.tolist(),
        }


def _by_frequency(wanted: Sequence[int], counts: Counter[int]) -> Prediction:
    """The answer to an example's masks of one who knows only how often each id is ``wanted``."""
    ((best, often),) = counts.most_common(1)
    total = counts.total()
    return {
        "correct": sum(token == best for token in wanted),
        "masked": len(wanted),
        "nll": -sum(math.log(counts[token] / total) for token in wanted),
        "answers": [best] * len(wanted),
        "wanted": list(wanted),
        "confidence": [often / total] * len(wanted),
    }


def _own_generator(features: Features) -> np.random.Generator:
    return np.random.default_rng(features["input_ids"])


def _corrupt(
    ids: np.ndarray, positions: np.ndarray, mask: int, vocabulary: int, draws: np.random.Generator
) -> None:
    """Change ``ids`` in place: 80 % of the positions become ``mask``, 10 % any id of the
    vocabulary, 10 % stay."""
    lot = draws.random(len(positions))
    anything = (draws.random(len(positions)) * vocabulary).astype(np.int64)
    ids[positions] = np.where(lot < 0.8, mask, np.where(lot < 0.9, anything, ids[positions]))


def _mask_id(processor: TextProcessor) -> int:
    mask = processor.token_id("mask")
    if mask is None:
        raise UsageError(
            "the model's tokenizer has no mask token, without which there is no fill-mask"
        )
    return mask


def _maskable(encoding: Encoding, processor: TextProcessor) -> list[int]:
    special = {processor.token_id(kind) for kind in _SPECIAL}
    marks = zip(encoding.ids, encoding.special_tokens_mask, strict=True)
    return [
        position
        for position, (token, mark) in enumerate(marks)
        if not mark and token not in special
    ]


def _request_features(row: Row, encoding: Encoding, processor: TextProcessor) -> Features:
    masks = [
        position for position, token in enumerate(encoding.ids) if token == _mask_id(processor)
    ]
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
    shares = np.exp(_log_softmax(logits))
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


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """Natural logarithms of the softmax over the last axis, in float64."""
    shifted = logits - logits.max(axis=-1, keepdims=True).astype(np.float64)
    logarithms: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logarithms
