"""A session over the exported parts of a model that generates: for any engine that runs one file as
arrays in, arrays out. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from compress.decoding import decode
from compress.engine import Session
from compress.errors import CompressError
from compress.generation import (
    BRANCH,
    HIDDEN,
    LAST_HIDDEN,
    MASK_OF_TEXT,
    OF_TEXT,
    PAST,
    PRESENT,
    PROMPT,
    CacheBytes,
    Limits,
    OnToken,
    padded_left,
    read_generation,
    room,
    special,
)
from compress.jsonfiles import read_object

_POSITIONS = "position_ids"
_MASK = "attention_mask"


def is_decoder(inputs: Sequence[str]) -> bool:
    """Whether a file with these inputs reads the keys and values of the tokens before."""
    return any(name.startswith(PAST) for name in inputs)


class Joined:
    """The decoder of a model with an encoder and the part that makes keys and values of the
    encoder's text, as one session: what an engine has that keeps them in two files.

    Where ``use_cache_branch`` is False, it makes these keys and values of
    ``encoder_hidden_states`` and returns them too; else it is given them."""

    def __init__(self, decoder: Session, cross: Session) -> None:
        self._decoder, self._cross = decoder, cross
        self.inputs: tuple[str, ...] = (*decoder.inputs, HIDDEN, BRANCH)

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """``logits``, and the keys and values of all tokens."""
        if batch[BRANCH].all():
            return self._decoder.run(batch)
        of_text = self._cross.run(batch)
        given = {_past(name): array for name, array in of_text.items()}
        return {**self._decoder.run({**batch, **given}), **of_text}


class CachedSession:
    """A model of the parts that ``compress.decoders.generating_parts`` makes, in any engine.

    ``decoder`` and ``encoder`` are sessions on the files; the decoder of a model with an encoder is
    ``Joined``, or one file that does the same. ``shapes`` are those of the decoder's inputs: of
    keys and values [batch, heads, length, head size], where heads and head size are numbers.
    ``folder`` has the model's configs."""

    def __init__(
        self,
        decoder: Session,
        shapes: Mapping[str, Sequence[object]],
        folder: Path,
        encoder: Session | None = None,
    ) -> None:
        self._decoder, self._encoder = decoder, encoder
        self._empty = {
            name: (int(str(shape[1])), int(str(shape[3])))
            for name, shape in shapes.items()
            if name.startswith(PAST)
        }
        self._config = read_object(folder / "config.json", infinity=True)
        self._special = special(self._config, read_generation(folder))
        self.inputs: tuple[str, ...] = ("input_ids", _MASK)
        if encoder is not None:
            self.inputs = (*encoder.inputs, PROMPT)
        elif _POSITIONS in decoder.inputs:
            self.inputs = (*self.inputs, _POSITIONS)

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """``logits`` of every token of the batch, float32."""
        return {"logits": self._start(batch).logits}

    def generate(
        self, batch: Mapping[str, np.ndarray], limits: Limits, on_token: OnToken | None = None
    ) -> list[list[int]]:
        """The new tokens for each example, as ``compress.engine.GeneratingSession`` says."""
        limits.refuse_misfits()
        begun = self._prompt(batch)
        length = begun["input_ids" if self._encoder is None else PROMPT].shape[1]
        most = room(limits, length, self._config)
        sequences = self._start(begun)
        last = sequences.logits[:, -1]
        known = self._special if length == 1 else replace(self._special, first=None)
        return decode(last, sequences, limits, most, known, on_token)

    def cache_bytes(self) -> CacheBytes:
        """Bytes of keys and values for each token, as ``compress.session.CountingSession`` says."""
        size = np.dtype(np.float32).itemsize
        kept = {name: size * heads * width for name, (heads, width) in self._empty.items()}
        source = sum(count for name, count in kept.items() if OF_TEXT in name)
        return CacheBytes(sum(kept.values()) - source, source)

    def _prompt(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The batch as an answer begins with it."""
        if self._encoder is None:
            moved = padded_left(batch)
            moved[_POSITIONS] = np.maximum(moved[_MASK].cumsum(axis=1) - 1, 0)
            return moved
        if PROMPT in batch:
            return dict(batch)
        if self._special.start is None:
            raise CompressError(
                "the model's config names no decoder_start_token_id, with which an answer begins"
            )
        rows = len(next(iter(batch.values())))
        return {**batch, PROMPT: np.full((rows, 1), self._special.start, dtype=np.int64)}

    def _start(self, batch: Mapping[str, np.ndarray]) -> _Sequences:
        rows = len(next(iter(batch.values())))
        cache = {
            name: np.zeros((rows, heads, 0, size), dtype=np.float32)
            for name, (heads, size) in self._empty.items()
        }
        if self._encoder is not None:
            hidden = self._encoder.run(batch)[LAST_HIDDEN]
            return _Answers(self._decoder, batch, cache, hidden)
        return _Texts(self._decoder, batch, cache)


class _Sequences:
    """Sequences with the keys and values of their tokens. ``logits`` are those of the tokens that
    were added last, [n, added, vocabulary]."""

    logits: np.ndarray

    def __init__(self, decoder: Session, cache: dict[str, np.ndarray]) -> None:
        self._decoder, self._cache = decoder, cache

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """The logits after one more token of each sequence."""
        self._add(tokens[:, None])
        last: np.ndarray = self.logits[:, -1]
        return last

    def take(self, places: np.ndarray) -> None:
        """Go on with the sequences at ``places``."""
        self._cache = {name: array[places] for name, array in self._cache.items()}

    def _add(self, tokens: np.ndarray) -> None:
        raise NotImplementedError

    def _run(self, inputs: Mapping[str, np.ndarray]) -> None:
        outputs = self._decoder.run({**inputs, **self._cache})
        self._cache = {name: self._kept(name, outputs) for name in self._cache}
        self.logits = outputs["logits"]

    def _kept(self, name: str, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The keys or values for the next token."""
        return outputs[PRESENT + name.removeprefix(PAST)]


class _Texts(_Sequences):
    """Texts that a model without an encoder continues."""

    def __init__(
        self, decoder: Session, batch: Mapping[str, np.ndarray], cache: dict[str, np.ndarray]
    ) -> None:
        super().__init__(decoder, cache)
        self._mask = batch[_MASK]
        rows, length = self._mask.shape
        positions = batch.get(_POSITIONS, np.tile(np.arange(length), (rows, 1)))
        self._next = positions[:, -1:] + 1
        self._run({"input_ids": batch["input_ids"], _MASK: self._mask, _POSITIONS: positions})

    def take(self, places: np.ndarray) -> None:
        """Go on with the sequences at ``places``."""
        super().take(places)
        self._mask, self._next = self._mask[places], self._next[places]

    def _add(self, tokens: np.ndarray) -> None:
        self._mask = np.concatenate([self._mask, np.ones_like(tokens)], axis=1)
        self._run({"input_ids": tokens, _MASK: self._mask, _POSITIONS: self._next})
        self._next = self._next + 1


class _Answers(_Sequences):
    """Answers of a model with an encoder, to texts that it has read."""

    def __init__(
        self,
        decoder: Session,
        batch: Mapping[str, np.ndarray],
        cache: dict[str, np.ndarray],
        hidden: np.ndarray,
    ) -> None:
        super().__init__(decoder, cache)
        self._text = {HIDDEN: hidden}
        if _MASK in batch:
            self._text[MASK_OF_TEXT] = batch[_MASK]
        self._is_given = np.zeros(1, dtype=np.bool_)
        self._add(batch[PROMPT])
        self._is_given = np.ones(1, dtype=np.bool_)

    def take(self, places: np.ndarray) -> None:
        """Go on with the sequences at ``places``."""
        super().take(places)
        self._text = {name: array[places] for name, array in self._text.items()}

    def _add(self, tokens: np.ndarray) -> None:
        self._run({"input_ids": tokens, BRANCH: self._is_given, **self._text})

    def _kept(self, name: str, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        # Those of the text stay as they were first returned: what later steps return for them
        # need not have a meaning.
        if OF_TEXT in name and self._is_given.all():
            return self._cache[name]
        return super()._kept(name, outputs)


def _past(name: str) -> str:
    """The input with what was returned as ``name``."""
    return PAST + name.removeprefix(PRESENT)
