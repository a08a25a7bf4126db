"""A loaded model, as engines open it and tasks ask it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from compress.errors import ModelRefused
from compress.generation import CacheBytes, Limits, OnToken


class Session(Protocol):
    """A loaded model: arrays in, named arrays out. ``inputs`` are the names of the arrays that it
    reads."""

    inputs: tuple[str, ...]

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name (``logits``), float32. Entries of ``batch`` that the model does not read
        are ignored."""
        ...


@runtime_checkable
class GeneratingSession(Session, Protocol):
    """A session that also generates. It keeps nothing between two calls."""

    def generate(
        self,
        batch: Mapping[str, np.ndarray],
        limits: Limits,
        on_token: OnToken | None = None,
    ) -> list[list[int]]:
        """The new tokens for each example of ``batch``, in order: without the prompt, and without
        the token that ends an answer. An answer is the same alone and beside others.

        A model without an encoder continues ``input_ids``, padded on either side where
        ``attention_mask`` is 0. One with an encoder answers them; ``decoder_input_ids`` are the
        beginning of the answers, by default the token that its config names. Of the settings in
        ``generation_config.json`` only the special tokens count. ``on_token`` is called with the
        place of an example and each of its tokens, as they come; with beams, when all is known.

        With ``min_new_tokens`` an answer does not end before it has so many. It ends at the model's
        last position at the latest. Raises UsageError where none is left for it,
        or for limits that exclude each other."""
        ...


@runtime_checkable
class CountingSession(Protocol):
    """A session that generates, and says what it keeps."""

    def cache_bytes(self) -> CacheBytes | None:
        """Bytes of keys and values for each token; None for a model that keeps none for each."""
        ...


def cache_bytes(session: Session) -> CacheBytes | None:
    """``session.cache_bytes()``; None for a session that does not say."""
    return session.cache_bytes() if isinstance(session, CountingSession) else None


def generate(
    session: Session,
    batch: Mapping[str, np.ndarray],
    limits: Limits,
    on_token: OnToken | None = None,
) -> list[list[int]]:
    """``session.generate``. Raises ModelRefused for a session that cannot generate."""
    if not isinstance(session, GeneratingSession):
        raise ModelRefused(
            f"this model's engine cannot generate ({type(session).__name__} has no generate): open "
            "it in another format, such as its PyTorch folder"
        )
    return session.generate(batch, limits, on_token)
