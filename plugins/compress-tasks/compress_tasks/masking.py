"""Hiding tokens of an example, and what a model answers at their places.

15 % of the positions are chosen; of these 80 % become the mask token, 10 % a random token
and 10 % stay (Devlin et al. 2019, section 3.1). Training draws anew each time. An
evaluation draws from a generator that is seeded with the example's own ids. So an example
has the same masks in any batch, order and process, and models with one tokenizer answer the
same questions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from tokenizers import Encoding

from compress.errors import UsageError
from compress.processor import TextProcessor
from compress.task import IGNORED, Batch, Decision, Features, Prediction
from compress_tasks.confidence import likeliest

_SPECIAL = ("pad", "mask", "cls", "sep", "unk", "bos", "eos")


def own_generator(features: Features) -> np.random.Generator:
    """The generator of an example's own ids, for an evaluation."""
    return np.random.default_rng(features["input_ids"])


def mask_id(processor: TextProcessor) -> int:
    """The id of the mask token. Raises UsageError where the tokenizer has none."""
    mask = processor.token_id("mask")
    if mask is None:
        raise UsageError(
            "the model's tokenizer has no mask token, without which there is no fill-mask"
        )
    return mask


def special_ids(processor: TextProcessor) -> frozenset[int | None]:
    """The ids of special tokens, which are never hidden."""
    return frozenset(processor.token_id(kind) for kind in _SPECIAL)


def maskable(encoding: Encoding, processor: TextProcessor) -> list[int]:
    """The positions of ordinary tokens."""
    special = special_ids(processor)
    marks = zip(encoding.ids, encoding.special_tokens_mask, strict=True)
    return [
        position
        for position, (token, mark) in enumerate(marks)
        if not mark and token not in special
    ]


def chosen(places: Sequence[int], share: float, draws: np.random.Generator) -> np.ndarray:
    """The positions to mask, int64 [masked]: a share of the maskable ``places``, rounded, but
    at least one if there are any."""
    maskable = np.array(places, dtype=np.int64)
    count = max(1, round(share * len(maskable)))
    # Sorting random numbers draws without replacement. Every position uses up one random
    # number, whatever the count, so the draws that follow do not shift.
    return maskable[draws.random(len(maskable)).argsort(kind="stable")[:count]]


def hide(
    batch: Batch,
    row: int,
    positions: np.ndarray,
    processor: TextProcessor,
    draws: np.random.Generator,
) -> None:
    """Hide the tokens at these positions of a row of ``input_ids``, in place: 80 % become the mask
    token, 10 % any id of the vocabulary, 10 % stay. ``labels`` get the ids that were there."""
    ids, labels = batch["input_ids"][row], batch["labels"][row]
    labels[positions] = ids[positions]  # before they are overwritten
    lot = draws.random(len(positions))
    anything = (draws.random(len(positions)) * processor.tokenizer.get_vocab_size()).astype(
        np.int64
    )
    replaced = np.where(lot < 0.9, anything, ids[positions])
    ids[positions] = np.where(lot < 0.8, mask_id(processor), replaced)


def unlabelled(batch: Batch) -> np.ndarray:
    """Labels of which none counts, int64 [batch, length]."""
    return np.full_like(batch["input_ids"], IGNORED)


def counted(logits: np.ndarray, positions: np.ndarray, input_ids: Sequence[int]) -> Prediction:
    """What a model answers at the masked ``positions`` of an example with these ids, from
    ``logits`` [length, vocabulary]: the counts ``correct`` and ``masked``; ``nll``, the negative
    log-likelihood in nats, summed; and of each masked token its id (``wanted``), the id that was
    answered (``answers``) and its probability (``confidence``)."""
    wanted = np.array(input_ids, dtype=np.int64)[positions]
    at_masks = logits[positions]  # [masked, vocabulary]
    nll = -log_softmax(at_masks)[np.arange(len(wanted)), wanted]  # [masked]
    answers, confidence = likeliest(at_masks)
    return {
        "correct": int((answers == wanted).sum()),
        "masked": len(wanted),
        "nll": float(nll.sum()),
        "answers": answers.tolist(),
        "wanted": wanted.tolist(),
        "confidence": confidence.tolist(),
    }


def by_frequency(wanted: Sequence[int], counts: Counter[int]) -> Prediction:
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


def masked_decisions(prediction: Prediction) -> list[Decision]:
    """One for each masked token, in the order of the draw; a token's id is its class."""
    masked = zip(prediction["answers"], prediction["wanted"], prediction["confidence"], strict=True)
    return [
        Decision(answer, answer == wanted, str(wanted), share) for answer, wanted, share in masked
    ]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Natural logarithms of the softmax over the last axis, in float64."""
    shifted = logits - logits.max(axis=-1, keepdims=True).astype(np.float64)
    logarithms: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logarithms
