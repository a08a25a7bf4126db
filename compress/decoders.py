"""The parts of a PyTorch model that generates, as they are exported.

A decoder reads the keys and values of the tokens before, and returns them with those of the new
tokens. With none before it, it takes a whole prompt. So one file serves for both, and no weight is
stored twice. A model with an encoder has a second file: it returns the keys and values of the
encoder's text, which are the same for every token of an answer.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from compress.exportable import WHOLE, Exportable
from compress.generation import CROSS, DECODER, ENCODER, PAST, PRESENT, PROMPT
from compress.sizes import positions
from compress.task import Batch

_CACHED = ("batch", None, "past_length", None)
_OF_ENCODER = ("batch", None, "encoder_length", None)


def generating_parts(model: PreTrainedModel, batch: Batch) -> tuple[Exportable, ...] | None:
    """The decoder of ``model``, and before it the encoder if it has one, with example inputs of the
    sizes in ``batch``. None for a model that does not generate, or keeps something else than keys
    and values of every token."""
    if not model.can_generate():
        return None
    names = inspect.signature(model.forward).parameters
    read = {name: array for name, array in batch.items() if name in names and name != "labels"}
    if model.config.is_encoder_decoder:
        return _with_encoder(model, read)
    return _alone(model, read)


def _alone(model: PreTrainedModel, batch: Batch) -> tuple[Exportable, ...] | None:
    cache = _kept(model, batch)
    if not _is_plain(cache):
        return None
    ids, mask, count = _shortened(model, batch["input_ids"], batch["attention_mask"])
    rows, length = ids.shape
    past = _examples(cache, rows, count)
    before = np.ones((rows, count), dtype=np.int64)
    inputs: Batch = {"input_ids": ids, "attention_mask": np.concatenate([before, mask], axis=1)}
    axes: dict[str, tuple[str | None, ...]] = {
        "input_ids": ("batch", "sequence"),
        "attention_mask": ("batch", "total_length"),
    }
    if "position_ids" in inspect.signature(model.forward).parameters:
        places = np.arange(count, count + length, dtype=np.int64)
        inputs["position_ids"] = np.tile(places, (rows, 1))
        axes["position_ids"] = ("batch", "sequence")
    axes |= dict.fromkeys(past, _CACHED)
    module = _Decoder(model).eval()
    return (Exportable(WHOLE, module, {**inputs, **past}, axes, ("logits", *_presents(past))),)


def _with_encoder(model: PreTrainedModel, batch: Batch) -> tuple[Exportable, ...] | None:
    cache = _kept(model, batch)
    if not isinstance(cache, EncoderDecoderCache) or not _is_plain(cache.self_attention_cache):
        return None
    given = {name: array for name, array in batch.items() if not name.startswith("decoder_")}
    cross = {
        name: tensor.cpu().numpy() for name, tensor in _flat(cache.cross_attention_cache, CROSS)
    }
    taken = next(iter(cross.values())).shape[2]
    prompt, _, count = _shortened(model, batch[PROMPT], batch[PROMPT], taken)
    past = _examples(cache.self_attention_cache, len(prompt), count)
    inputs: Batch = {PROMPT: prompt}
    axes: dict[str, tuple[str | None, ...]] = {PROMPT: ("batch", "decoder_length")}
    if "attention_mask" in given:
        inputs["attention_mask"] = given["attention_mask"]
        axes["attention_mask"] = ("batch", "encoder_length")
    axes |= {**dict.fromkeys(past, _CACHED), **dict.fromkeys(cross, _OF_ENCODER)}
    inputs |= {**past, **cross}
    named = {name: ("batch", "encoder_length")[: array.ndim] for name, array in given.items()}
    encoder = Exportable(ENCODER, _Encoder(model).eval(), given, named, tuple(cross))
    module = _AnsweringDecoder(model).eval()
    return encoder, Exportable(DECODER, module, inputs, axes, ("logits", *_presents(past)))


class _Decoder(nn.Module):
    """A model without an encoder: logits, and the keys and values of all tokens."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        read = {name: inputs[name] for name in inputs if not name.startswith(PAST)}
        cache = _cache(inputs, PAST)
        outputs = self.model(**read, past_key_values=cache, use_cache=True, return_dict=True)
        return {"logits": outputs.logits, **dict(_flat(outputs.past_key_values, PRESENT))}


class _Encoder(nn.Module):
    """The encoder of a model, and what the decoder's layers make of its text.

    It runs the whole model on one token. Nothing that is returned depends on that token, so an
    export leaves out what does."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        first = next(iter(inputs.values()))
        token = torch.zeros((first.shape[0], 1), dtype=torch.long, device=first.device)
        outputs = self.model(**inputs, decoder_input_ids=token, use_cache=True, return_dict=True)
        return dict(_flat(outputs.past_key_values.cross_attention_cache, CROSS))


class _AnsweringDecoder(nn.Module):
    """The decoder of a model with an encoder, which is given what ``_Encoder`` returned."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        own, cross = _cache(inputs, PAST), _cache(inputs, CROSS)
        cache = EncoderDecoderCache(own, cross)
        for layer in range(len(cross.layers)):
            cache.is_updated[layer] = True  # its keys and values are those of the text already
        of_text = cross.layers[0].keys
        # Only its length is read.
        hidden = of_text.new_zeros(of_text.shape[0], of_text.shape[2], 1)
        outputs = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
            attention_mask=inputs.get("attention_mask"),
            decoder_input_ids=inputs[PROMPT],
            past_key_values=cache,
            use_cache=True,
            return_dict=True,
        )
        kept = outputs.past_key_values.self_attention_cache
        return {"logits": outputs.logits, **dict(_flat(kept, PRESENT))}


def _kept(model: PreTrainedModel, batch: Batch) -> Any:
    """What the model keeps of a batch for the next token; None if it has another name for it than
    keys and values have."""
    tensors = {name: torch.as_tensor(array, device=model.device) for name, array in batch.items()}
    with torch.inference_mode():
        outputs = model(**tensors, use_cache=True, return_dict=True)
    return getattr(outputs, "past_key_values", None)


def _is_plain(cache: object) -> bool:
    """Whether a cache holds keys and values of every layer, and nothing else."""
    layers = getattr(cache, "layers", ())
    return bool(layers) and all(getattr(each, "keys", None) is not None for each in layers)


def _cache(inputs: Mapping[str, Tensor], prefix: str) -> Any:
    """The keys and values among ``inputs`` whose names begin with ``prefix``."""
    layers = sum(name.startswith(prefix) for name in inputs) // 2
    kept: Any = [(inputs[f"{prefix}key_{i}"], inputs[f"{prefix}value_{i}"]) for i in range(layers)]
    return DynamicCache(kept)


def _flat(cache: Any, prefix: str) -> list[tuple[str, Tensor]]:
    """The keys and values of a cache, layer by layer, with their names."""
    named = []
    for i, layer in enumerate(cache.layers):
        named += [(f"{prefix}key_{i}", layer.keys), (f"{prefix}value_{i}", layer.values)]
    return named


def _shortened(
    model: PreTrainedModel, ids: np.ndarray, mask: np.ndarray, *taken: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """The new tokens, their mask, and a number of tokens before them, which is no other length:
    all together have positions in the model."""
    count = next(n for n in (2, 3, 4) if n not in (ids.shape[1], *taken))
    most = positions(model.config.to_dict())
    kept = ids.shape[1] if most is None else min(ids.shape[1], most - count)
    return ids[:, :kept], mask[:, :kept], count


def _examples(cache: Any, rows: int, length: int) -> Batch:
    """Keys and values of ``length`` tokens before, of the sizes that ``cache`` has: any numbers."""
    generator = np.random.default_rng(0)
    return {
        name: generator.standard_normal(
            (rows, tensor.shape[1], length, tensor.shape[3]), dtype=np.float32
        )
        for name, tensor in _flat(cache, PAST)
    }


def _presents(past: Batch) -> list[str]:
    return [PRESENT + name.removeprefix(PAST) for name in past]
