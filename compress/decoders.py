"""The parts of a PyTorch model that generates, as they are exported.

A decoder reads the keys and values of the tokens before, and returns them with those of the new
tokens. With none before it, it takes a whole prompt. So one file serves for both, and no weight is
stored twice. A model with an encoder has two more parts: the encoder, and what the decoder's layers
make of the encoder's text, which is the same for every token of an answer.
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
from compress.generation import (
    CROSS,
    DECODER,
    ENCODER,
    HIDDEN,
    LAST_HIDDEN,
    MASK_OF_TEXT,
    OF_TEXT,
    OWN,
    PAST,
    PRESENT,
    PROMPT,
)
from compress.sizes import positions
from compress.task import Batch

_LENGTH, _PAST_LENGTH, _TEXT_LENGTH = (
    "sequence_length",
    "past_sequence_length",
    "encoder_sequence_length",
)
_MASK, _PLACES = "attention_mask", "position_ids"


def generating_parts(model: PreTrainedModel, batch: Batch) -> tuple[Exportable, ...] | None:
    """The decoder of ``model`` as it is exported, with example inputs of the sizes in ``batch``. Of
    a model with an encoder: the encoder, the part that gives the keys and values of its text, and
    the decoder. None for a model that does not generate, or keeps something else than keys and
    values of every token."""
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
    ids, mask, count = _shortened(model, batch["input_ids"], batch[_MASK])
    rows, length = ids.shape
    past = _examples(cache, ".", rows, count)
    before = np.ones((rows, count), dtype=np.int64)
    inputs: Batch = {"input_ids": ids, _MASK: np.concatenate([before, mask], axis=1)}
    axes = {
        "input_ids": ("batch_size", _LENGTH),
        _MASK: ("batch_size", "total_sequence_length"),
    }
    if _PLACES in inspect.signature(model.forward).parameters:
        places = np.arange(count, count + length, dtype=np.int64)
        inputs[_PLACES] = np.tile(places, (rows, 1))
        axes[_PLACES] = ("batch_size", _LENGTH)
    module = _Decoder(model).eval()
    named = {**axes, **dict.fromkeys(past, ("batch_size", None, _PAST_LENGTH, None))}
    return (Exportable(WHOLE, module, {**inputs, **past}, named, ("logits", *_presents(past))),)


def _with_encoder(model: PreTrainedModel, batch: Batch) -> tuple[Exportable, ...] | None:
    cache = _kept(model, batch)
    if not isinstance(cache, EncoderDecoderCache) or not _is_plain(cache.self_attention_cache):
        return None
    given = {name: array for name, array in batch.items() if not name.startswith("decoder_")}
    axes = {name: ("batch_size", _TEXT_LENGTH)[: array.ndim] for name, array in given.items()}
    encoder = Exportable(ENCODER, _Encoder(model).eval(), given, axes, (LAST_HIDDEN,))
    hidden = {HIDDEN: _outputs(encoder)[LAST_HIDDEN]}
    names = tuple(_named(cache.cross_attention_cache, PRESENT, OF_TEXT))
    cross = Exportable(
        CROSS, _Cross(model).eval(), hidden, {HIDDEN: ("batch_size", _TEXT_LENGTH)}, names
    )
    return encoder, cross, _answering(model, batch, cache.self_attention_cache, _outputs(cross))


def _answering(model: PreTrainedModel, batch: Batch, cache: Any, of_text: Batch) -> Exportable:
    """The decoder of a model with an encoder. ``of_text`` is what its layers make of the text."""
    taken = next(iter(of_text.values())).shape[2]
    prompt, _, count = _shortened(model, batch[PROMPT], batch[PROMPT], taken)
    past = _examples(cache, OWN, len(prompt), count)
    inputs: Batch = {"input_ids": prompt}
    axes = {"input_ids": ("batch_size", "decoder_sequence_length")}
    if _MASK in batch:
        inputs[MASK_OF_TEXT] = batch[_MASK]
        axes[MASK_OF_TEXT] = ("batch_size", _TEXT_LENGTH)
    cross = {PAST + name.removeprefix(PRESENT): array for name, array in of_text.items()}
    lengths = {**dict.fromkeys(past, _PAST_LENGTH), **dict.fromkeys(cross, _TEXT_LENGTH)}
    named = {name: ("batch_size", None, length, None) for name, length in lengths.items()}
    module = _AnsweringDecoder(model).eval()
    outputs = ("logits", *_presents(past))
    return Exportable(DECODER, module, {**inputs, **past, **cross}, {**axes, **named}, outputs)


class _Decoder(nn.Module):
    """A model without an encoder: logits, and the keys and values of all tokens."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        read = {name: inputs[name] for name in inputs if not name.startswith(PAST)}
        cache = _cache(inputs, ".")
        outputs = self.model(**read, past_key_values=cache, use_cache=True, return_dict=True)
        return {"logits": outputs.logits, **_named(outputs.past_key_values, PRESENT, ".")}


class _Encoder(nn.Module):
    """The encoder of a model."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.encoder, self.config = model.get_encoder(), model.config

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        return {LAST_HIDDEN: self.encoder(**inputs, return_dict=True).last_hidden_state}


class _Cross(nn.Module):
    """What the decoder's layers make of an encoder's text.

    It runs the decoder on one token. Nothing that is returned depends on that token, so an export
    leaves out what does."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, encoder_hidden_states: Tensor) -> dict[str, Tensor]:
        rows = encoder_hidden_states.shape[0]
        token = torch.zeros((rows, 1), dtype=torch.long, device=encoder_hidden_states.device)
        outputs = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoder_hidden_states),
            decoder_input_ids=token,
            use_cache=True,
            return_dict=True,
        )
        return _named(outputs.past_key_values.cross_attention_cache, PRESENT, OF_TEXT)


class _AnsweringDecoder(nn.Module):
    """The decoder of a model with an encoder, which is given what ``_Cross`` returned."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        own, cross = _cache(inputs, OWN), _cache(inputs, OF_TEXT)
        cache = EncoderDecoderCache(own, cross)
        for layer in range(len(cross.layers)):
            cache.is_updated[layer] = True  # its keys and values are those of the text already
        of_text = cross.layers[0].keys
        # Only its length is read.
        hidden = of_text.new_zeros(of_text.shape[0], of_text.shape[2], 1)
        outputs = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
            attention_mask=inputs.get(MASK_OF_TEXT),
            decoder_input_ids=inputs["input_ids"],
            past_key_values=cache,
            use_cache=True,
            return_dict=True,
        )
        kept = outputs.past_key_values.self_attention_cache
        return {"logits": outputs.logits, **_named(kept, PRESENT, OWN)}


def _outputs(part: Exportable) -> Batch:
    """What a part returns for its example."""
    device = next(part.module.parameters()).device
    tensors = {name: torch.as_tensor(a, device=device) for name, a in part.inputs.items()}
    with torch.inference_mode():
        outputs = part.module(**tensors)
    return {name: outputs[name].float().cpu().numpy() for name in part.outputs}


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


def _cache(inputs: Mapping[str, Tensor], kind: str) -> Any:
    """The keys and values of a ``kind`` among ``inputs``: ``.``, or that of a model with an
    encoder."""
    layers = sum(name.startswith(PAST) and kind in name for name in inputs) // 2
    kept: Any = [
        (inputs[f"{PAST}{i}{kind}key"], inputs[f"{PAST}{i}{kind}value"]) for i in range(layers)
    ]
    return DynamicCache(kept)


def _named(cache: Any, prefix: str, kind: str) -> dict[str, Tensor]:
    """The keys and values of a cache, layer by layer, by their names."""
    named: dict[str, Tensor] = {}
    for i, layer in enumerate(cache.layers):
        named |= {f"{prefix}{i}{kind}key": layer.keys, f"{prefix}{i}{kind}value": layer.values}
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


def _examples(cache: Any, kind: str, rows: int, length: int) -> Batch:
    """Keys and values of ``length`` tokens before, of the sizes that ``cache`` has: any numbers."""
    generator = np.random.default_rng(0)
    return {
        name: generator.standard_normal(
            (rows, tensor.shape[1], length, tensor.shape[3]), dtype=np.float32
        )
        for name, tensor in _named(cache, PAST, kind).items()
    }


def _presents(past: Batch) -> list[str]:
    return [PRESENT + name.removeprefix(PAST) for name in past]
