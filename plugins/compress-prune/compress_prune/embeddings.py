"""The rows of a model that belong to token ids: where they are, and a model with some of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from accelerate import init_empty_weights
from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel

from compress.edits import Edit
from compress.errors import UsageError
from compress.models import saved_as_named
from compress.shapes import replay

_SIZE = "vocab_size"


def rows_of_vocabulary(model: PreTrainedModel) -> int:
    """The number of token ids that a model has embeddings for. Raises UsageError if its config does
    not say."""
    size = getattr(model.config, _SIZE, None)
    if not isinstance(size, int) or size < 1:
        raise _not_found(model, f"its config has no {_SIZE}")
    return size


def vocabulary_axes(model: PreTrainedModel) -> dict[str, int]:
    """The axis of each parameter and buffer that has a place for each token id, by its name: of
    embeddings, of heads that name a token, and of their biases.

    They are the axes that another ``vocab_size`` in the config changes. Raises UsageError if one of
    them has another size, or if the embeddings are not among them."""
    size = rows_of_vocabulary(model)
    own, wider = (dict(_shapes(model, each)) for each in (size, 2 * size))
    tensors = model.state_dict()
    found: dict[str, int] = {}
    for name, shape in own.items():
        changed = [i for i, one in enumerate(shape) if one != wider[name][i]]
        if not changed:
            continue
        if name not in tensors:
            raise _not_found(model, f"{name} was replaced by other parameters")
        if len(changed) > 1 or tensors[name].shape[changed[0]] != size:
            raise _not_found(model, f"{name} has no place for each of {size} tokens")
        found[name] = changed[0]
    embeddings: torch.Tensor = model.get_input_embeddings().weight  # type: ignore[assignment]
    if not any(tensors[name].data_ptr() == embeddings.data_ptr() for name in found):
        raise _not_found(model, f"their size does not follow from {_SIZE}")
    return found


def with_tokens(
    model: PreTrainedModel,
    kept: Sequence[int],
    config: Mapping[str, Any],
    generation: Mapping[str, Any] | None,
    edits: Sequence[Edit],
) -> PreTrainedModel:
    """A model in evaluation mode with the rows ``kept`` of the vocabulary alone, in that order; all
    else is shared with ``model``, which is not changed.

    ``config`` are the entries of its config, and ``generation`` those of its generation config if
    it has one, with the new ids; ``edits`` give it its shape."""
    axes = vocabulary_axes(model)
    made_config = _with_size(model.config, config, len(kept))
    # Buffers that are not saved, such as rotary frequencies, are computed when a module is built.
    with init_empty_weights(include_buffers=False):
        made: PreTrainedModel = type(model)(made_config)
    replay(made, edits)
    index = torch.tensor(list(kept), device=model.device)
    weights = {
        name: tensor.detach().index_select(axes[name], index) if name in axes else tensor.detach()
        for name, tensor in model.state_dict().items()
    }
    made.load_state_dict(weights, assign=True)
    made.tie_weights()
    made.to(model.device)  # type: ignore[arg-type]
    if generation is not None:
        made.generation_config = GenerationConfig.from_dict(dict(generation))
    saved_as_named(made).eval()
    return made


def _shapes(model: PreTrainedModel, size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The shapes of what is saved of a model, with ``size`` token ids."""
    config = _with_size(model.config, model.config.to_dict(), size)
    with init_empty_weights(include_buffers=True):
        empty = type(model)(config)
    for name, tensor in empty.state_dict().items():
        yield name, tuple(tensor.shape)


def _with_size(config: PreTrainedConfig, values: Mapping[str, Any], size: int) -> PreTrainedConfig:
    key = config.attribute_map.get(_SIZE, _SIZE)
    made: PreTrainedConfig = type(config).from_dict({**values, key: size})
    return made


def _not_found(model: PreTrainedModel, why: str) -> UsageError:
    return UsageError(
        f"the token embeddings of this {model.config.model_type} model cannot be found: {why}; its "
        "vocabulary stays as it is, so leave the step out"
    )
