"""What a user may ask of an answer that is generated, and what a model says of its own tokens. No
torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field

from compress.architecture import ModelConfig
from compress.errors import UsageError
from compress.jsonfiles import read_object
from compress.options import Options
from compress.sizes import positions

GENERATION_FILE = "generation_config.json"

OnToken = Callable[[int, int], None]
"""Called with the place of a sequence in its batch, and with its next token, as it is generated."""

PROMPT = "decoder_input_ids"
"""The entry of a batch with the beginning of the answers of a model with an encoder."""

ENCODER, CROSS, DECODER = "encoder_model", "cross_attention", "decoder_with_past_model"
"""The names of the files of a model with an encoder: of the encoder, of what the decoder's layers
make of its text, and of the decoder. That of a model without an encoder is a whole model's."""
PAST, PRESENT = "past_key_values.", "present."
"""How the names of keys and values begin: of those that a decoder reads, and of those that it
returns. The number of a layer follows, then ``key`` or ``value``. Their arrays are [batch, heads,
length, head size]. These and the names below are those of optimum and Transformers.js."""
OWN, OF_TEXT = ".decoder.", ".encoder."
"""What stands behind the layer's number if a model has an encoder: for its tokens, and for the
encoder's text. Without an encoder it is a dot."""
LAST_HIDDEN, HIDDEN = "last_hidden_state", "encoder_hidden_states"
"""What an encoder returns, and its name where it is an input."""
MASK_OF_TEXT = "encoder_attention_mask"
BRANCH = "use_cache_branch"
"""Input of a decoder that can make the keys and values of the text itself: whether it is given
them, bool [1]."""


class Limits(Options):
    """How an answer is generated. A task that generates has them as its ``RequestOptions``, or a
    class derived from them."""

    max_new_tokens: int = Field(
        default=64, ge=1, description="Tokens of an answer; what would be longer is cut."
    )
    min_new_tokens: int = Field(
        default=0, ge=0, description="Tokens of an answer before it may end."
    )
    beams: int = Field(
        default=1,
        ge=1,
        description="Answers that a search compares as they grow; 1: no search.",
    )
    length_penalty: float = Field(
        default=1.0,
        description="Power of its length by which a search divides the log-probability of an "
        "answer: above 1, longer answers win more often.",
    )
    temperature: float = Field(
        default=0.0,
        ge=0.0,
        description="0: the most probable token each time; above: tokens are drawn, 1 by their "
        "probabilities.",
    )
    top_p: float = Field(
        default=1.0,
        gt=0.0,
        le=1.0,
        description="Draw only from the most probable tokens that have this share together.",
    )
    seed: int = Field(
        default=0, ge=0, description="Which tokens are drawn: the same seed draws the same."
    )

    @property
    def draws(self) -> bool:
        """Whether tokens are drawn by their probabilities."""
        return self.temperature > 0

    @classmethod
    def exactly(cls, tokens: int) -> Self:
        """Answers of so many tokens, greedily, whatever the model says."""
        return cls(max_new_tokens=tokens, min_new_tokens=tokens)

    def refuse_misfits(self) -> None:
        """Raise UsageError for limits that exclude each other: a search in which tokens are drawn,
        or an answer that is to be longer than it may be."""
        if self.draws and self.beams > 1:
            raise UsageError(
                f"beams is {self.beams} and temperature is {self.temperature:g}: a search draws no "
                "tokens, so leave one out"
            )
        if self.min_new_tokens > self.max_new_tokens:
            raise UsageError(
                f"min_new_tokens is {self.min_new_tokens}, above max_new_tokens "
                f"({self.max_new_tokens})"
            )


@dataclass(frozen=True)
class CacheBytes:
    """Bytes of keys and values that an engine keeps of one sequence while it generates: for each
    ``token`` of the prompt and the answer; and, of a model with an encoder, for each token of the
    ``source``, which the decoder reads and never changes."""

    token: int
    source: int = 0


@dataclass(frozen=True)
class Special:
    """Token ids that a model's config gives a meaning: those that ``end`` an answer, the one that
    the decoder of a model with an encoder ``start``s with, the one that such an answer must begin
    with (``first``) if nothing is given before it, and those that are ``never`` part of one."""

    end: frozenset[int] = frozenset()
    start: int | None = None
    first: int | None = None
    never: frozenset[int] = frozenset()


def special(config: ModelConfig, generation: ModelConfig) -> Special:
    """The special tokens of a model by its ``config.json`` and its ``generation_config.json``,
    which has the last word."""

    def stated(name: str) -> Any:
        value = generation.get(name)
        return config.get(name) if value is None else value

    end, start = stated("eos_token_id"), stated("decoder_start_token_id")
    words = stated("bad_words_ids") or ()
    return Special(
        frozenset([end] if isinstance(end, int) else end or ()),
        stated("bos_token_id") if start is None else start,
        stated("forced_bos_token_id"),
        frozenset(word[0] for word in words if isinstance(word, list) and len(word) == 1),
    )


def read_generation(folder: Path) -> ModelConfig:
    """The generation config of a model folder; empty if it has none."""
    file = folder / GENERATION_FILE
    return read_object(file, infinity=True) if file.is_file() else {}


def room(limits: Limits, prompt: int, config: ModelConfig) -> int:
    """How many tokens may follow a ``prompt`` of that many: no more than the limits say, and than
    the model has positions for. Raises UsageError if no token has a place."""
    most = positions(config)
    if most is None:
        return limits.max_new_tokens
    if prompt >= most:
        raise UsageError(
            f"a prompt of {prompt} tokens leaves no room for an answer: the model has {most} "
            "positions"
        )
    return min(limits.max_new_tokens, most - prompt)


def padded_left(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The prompts of a batch [batch, length] with their padding on the left, where a decoder that
    continues them needs it. Further entries of that shape move with them; others stay.

    The padding is where ``attention_mask`` is 0. It may have been on either side."""
    mask = batch["attention_mask"]
    order = np.argsort(mask, axis=1, kind="stable")
    return {
        name: np.take_along_axis(array, order, axis=1) if array.shape == mask.shape else array
        for name, array in batch.items()
    }


_TOKENS = (
    "bad_words_ids",
    "bos_token_id",
    "decoder_start_token_id",
    "eos_token_id",
    "forced_bos_token_id",
    "pad_token_id",
)
"""The entries about special tokens, which every engine heeds."""


def settings_of(limits: Limits) -> dict[str, Any]:
    """The entries of a ``generation_config.json`` with which transformers' ``generate`` gives the
    answers of ``limits``."""
    return {
        "do_sample": limits.draws,
        "length_penalty": limits.length_penalty,
        "max_new_tokens": limits.max_new_tokens,
        "min_new_tokens": limits.min_new_tokens,
        "num_beams": limits.beams,
        **({"temperature": limits.temperature, "top_p": limits.top_p} if limits.draws else {}),
    }


def write_generation(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the ``generation_config.json`` of a model folder: its special tokens, and ``settings``.

    What else it stated is left out, such as a penalty that no engine here knows: with it
    transformers would give other answers than those that were measured."""
    config = read_object(folder / "config.json", infinity=True)
    stated = {**config, **read_generation(folder)}
    kept = {name: stated[name] for name in _TOKENS if stated.get(name) is not None}
    text = json.dumps({**kept, **settings}, indent=2, sort_keys=True)
    (folder / GENERATION_FILE).write_text(text + "\n", encoding="utf-8")
