"""Answers that a PyTorch model generates; transformers' ``generate`` does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from transformers import GenerationConfig, LogitsProcessor, PreTrainedModel
from transformers.generation import BaseStreamer

from compress.decoding import drawn_scores
from compress.errors import ModelRefused
from compress.generation import (
    PROMPT,
    CacheBytes,
    Limits,
    OnToken,
    Special,
    padded_left,
    room,
    special,
)

_KEPT = ("keys", "values")
"""What a layer of a cache keeps of each token."""


def generate(
    model: PreTrainedModel,
    device: str,
    batch: Mapping[str, np.ndarray],
    limits: Limits,
    on_token: OnToken | None = None,
) -> list[list[int]]:
    """The new tokens of each prompt in ``batch``, as ``compress.engine.GeneratingSession`` says.

    Raises ModelRefused for a model that transformers cannot generate with."""
    limits.refuse_misfits()
    if not model.can_generate():
        raise ModelRefused(
            f"a {model.config.model_type} model with this head ({type(model).__name__}) generates "
            "nothing"
        )
    inputs, prompt = _prompts(model, batch)
    config = model.config.to_dict()
    known = special(config, model.generation_config.to_dict())
    tensors = {name: torch.as_tensor(array, device=device) for name, array in inputs.items()}
    tail = _Tail(known, len(next(iter(tensors.values()))), on_token)
    with _plain(model, _settings(limits, room(limits, prompt, config), known)) as settings:
        tokens = cast(Any, model).generate(
            **tensors,
            generation_config=settings,
            logits_processor=[_Drawing(limits)] if limits.draws else None,
            streamer=tail if limits.beams == 1 else None,
        )
    answers = [_until_end(row[prompt:], known) for row in tokens.tolist()]
    if limits.beams > 1 and on_token:
        for row, answer in enumerate(answers):
            for token in answer:
                on_token(row, token)
    return answers


def cache_bytes(model: PreTrainedModel, device: str) -> CacheBytes | None:
    """Bytes of keys and values that ``model`` keeps for each token: those of one token. None for a
    model that reads no token ids, or keeps something else than keys and values."""
    if not model.can_generate() or model.main_input_name != "input_ids":
        return None
    token = torch.zeros((1, 1), dtype=torch.long, device=device)
    answers = {PROMPT: token} if model.config.is_encoder_decoder else {}
    training = model.training
    model.train(False)
    try:
        with torch.inference_mode():
            kept = model(input_ids=token, use_cache=True, **answers).get("past_key_values")
    finally:
        model.train(training)
    own = _bytes_of(getattr(kept, "self_attention_cache", kept))
    return CacheBytes(own, _bytes_of(getattr(kept, "cross_attention_cache", None))) if own else None


def _bytes_of(cache: Any) -> int:
    """Bytes of the keys and values of a transformers ``Cache``; 0 if it has none."""
    arrays = [
        getattr(layer, name, None) for layer in getattr(cache, "layers", ()) for name in _KEPT
    ]
    return sum(array.nbytes for array in arrays if torch.is_tensor(array))


def _prompts(
    model: PreTrainedModel, batch: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], int]:
    """The entries of ``batch`` that generation reads, and the number of tokens that an answer
    begins with."""
    if model.config.is_encoder_decoder:
        given = batch.get(PROMPT)
        return dict(batch), 1 if given is None else given.shape[1]
    moved = padded_left(batch)
    return moved, moved["input_ids"].shape[1]


def _settings(limits: Limits, most: int, known: Special) -> GenerationConfig:
    end = sorted(known.end)
    return GenerationConfig(
        max_new_tokens=most,
        min_new_tokens=min(limits.min_new_tokens, most) or None,
        num_beams=limits.beams,
        length_penalty=limits.length_penalty,
        bad_words_ids=[[token] for token in sorted(known.never)] or None,
        do_sample=False,
        eos_token_id=end or None,
        # The model does not see it: it is masked out, or follows an answer's end.
        pad_token_id=end[0] if end else 0,
        decoder_start_token_id=known.start,
        forced_bos_token_id=known.first,
    )


@contextmanager
def _plain(model: PreTrainedModel, settings: GenerationConfig) -> Iterator[GenerationConfig]:
    """``model`` with ``settings`` as its own: those of its folder would fill what is not set, such
    as a penalty that another engine does not know."""
    own, model.generation_config = model.generation_config, settings
    training = model.training
    model.train(False)
    try:
        with torch.inference_mode():
            yield settings
    finally:
        model.generation_config = own
        model.train(training)


def _until_end(tokens: list[int], known: Special) -> list[int]:
    """The tokens before the first that ends an answer."""
    end = next((place for place, token in enumerate(tokens) if token in known.end), len(tokens))
    return tokens[:end]


class _Drawing(LogitsProcessor):
    """Draws tokens as every engine does: the greatest of the scores is the one that is drawn."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._count = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        drawn = drawn_scores(scores.float().cpu().numpy(), self._limits, self._count)
        self._count += 1
        return torch.as_tensor(drawn, device=scores.device)


class _Tail(BaseStreamer):
    """Tells each new token of a batch, until the end of its sequence."""

    def __init__(self, known: Special, rows: int, on_token: OnToken | None) -> None:
        self._known, self._on_token = known, on_token
        self._open = list(range(rows))
        self._is_prompt = True

    def put(self, value: torch.Tensor) -> None:
        """Take the prompts first, then a token [batch] of each sequence."""
        if self._is_prompt or self._on_token is None:
            self._is_prompt = False
            return
        tokens = value.tolist()
        self._open = [row for row in self._open if tokens[row] not in self._known.end]
        for row in self._open:
            self._on_token(row, tokens[row])

    def end(self) -> None:
        """Nothing is left to tell."""
