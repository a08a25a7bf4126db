"""Fresh models that read what a given processor makes: the vocabulary and the special tokens of
their configs follow from it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import numpy as np
from transformers import CONFIG_MAPPING, PreTrainedModel

from compress.architecture import ModelConfig, Origin, starts_from_teachers
from compress.artifact import Artifact
from compress.errors import UsageError
from compress.featurising import FeatureRows
from compress.models import fresh_model, open_model
from compress.processor import Processor, TextProcessor, Vocabulary
from compress.sizes import architecture_of
from compress.sound import SpeechProcessor
from compress.stage import Context
from compress.task import Row, Task

_VOCABULARY = "vocab_size"
_TOKENS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"pad_token_id": ("pad",), "bos_token_id": ("bos", "cls"), "eos_token_id": ("eos", "sep")}
)
"""Keys of a model's config, and the kinds of special tokens whose id each may hold: the first that
the tokenizer has."""
_START, _FORCED_END = "decoder_start_token_id", "forced_eos_token_id"
"""The same for a model with an encoder and a decoder. The defaults of a family are ids of its own
vocabulary, which mean other tokens of another."""


def fresh_reader(
    config: ModelConfig, task: Task[Any], labels: Sequence[str], processor: Processor
) -> PreTrainedModel:
    """A model in training mode with random float32 weights, which ``compress.models.fresh_model``
    makes of ``config``. What this configuration does not state follows from the ``processor``: the
    size of the vocabulary, and the ids of special tokens.

    Raises UsageError if the stated vocabulary has no place for all ids of the processor."""
    own = _own_names(config)
    follows = _following(processor, config["type"])
    stated = {own.get(key, key): value for key, value in config.items()}
    vocabulary, ids = stated.get(own.get(_VOCABULARY, _VOCABULARY)), follows.get(_VOCABULARY, 0)
    if isinstance(vocabulary, int) and vocabulary < ids:
        raise UsageError(
            f"{_VOCABULARY}: {vocabulary} is too small, the tokenizer has ids up to {ids - 1}; "
            "leave it out, and it follows from the tokenizer"
        )
    added = {key: value for key, value in follows.items() if own.get(key, key) not in stated}
    model = fresh_model({**config, **added}, task, labels)
    model.train()
    return model


def processor_for(model: PreTrainedModel, processor: Processor, task: Task[Any]) -> Processor:
    """``processor``, taken from another model, as ``model`` needs it: it makes the inputs that this
    one reads, and pads a text where its head does not read."""
    with TemporaryDirectory(prefix="compress-") as name:
        folder = Path(name)
        model.config.save_pretrained(folder)
        processor.save(folder)
        own: Processor = task.processor(folder)
    if isinstance(own, TextProcessor):
        read = inspect.signature(model.forward).parameters
        own.config.pop("padding_side", None)  # that of the other model
        names = own.config.get("model_input_names") or ()
        if names:
            own.config["model_input_names"] = [name for name in names if name in read]
    return own


def start_from_teacher(
    model: PreTrainedModel,
    processor: Processor,
    teacher: Artifact,
    context: Context[Any],
    rows: Sequence[Row],
) -> Mapping[str, Any]:
    """Give a fresh ``model``, which reads what ``processor`` makes of the training ``rows``, the
    first weights that its architecture takes from ``teacher``, in place. Returns notes for the
    manifest.

    Raises UsageError for a family that takes none, and where the two do not fit."""
    kind = model.config.model_type
    architecture = architecture_of(kind, context.architectures)
    theirs = context.task.processor(teacher.folder)
    if (
        architecture is None
        or not starts_from_teachers(architecture)
        or not isinstance(theirs, Vocabulary)
        or not isinstance(processor, Vocabulary)
    ):
        raise UsageError(f"a {kind} model does not start from a teacher: leave embeddings_of out")
    origin = Origin(
        open_model(teacher, context.task),
        theirs,
        processor,
        _counts(FeatureRows(context.task, rows, processor), _ids_of(processor)),
    )
    return architecture.start_from(model, origin)


def _counts(features: Iterable[Mapping[str, Any]], ids: int) -> np.ndarray:
    """How often each of so many ids is in the inputs, int64 [ids]."""
    counts = np.zeros(ids, dtype=np.int64)
    for each in features:
        counts += np.bincount(np.asarray(each["input_ids"], dtype=np.int64), minlength=ids)
    return counts


def _own_names(config: ModelConfig) -> Mapping[str, str]:
    """The family's own name of a key, by each second name."""
    kind = config["type"]
    return CONFIG_MAPPING[kind].attribute_map if kind in CONFIG_MAPPING else {}


def _following(processor: Processor, kind: str) -> dict[str, int]:
    """What the config of a model of a type gets from a tokenizer; nothing from another
    processor."""
    if isinstance(processor, SpeechProcessor):
        processor = processor.text
    if not isinstance(processor, Vocabulary):
        return {}
    found = {_VOCABULARY: _ids_of(processor), **_special_ids(processor, _TOKENS)}
    return found | _special_ids(processor, _of_decoder(kind))


def _of_decoder(kind: str) -> Mapping[str, tuple[str, ...]]:
    """The further keys of a model type with an encoder and a decoder, as far as it has them."""
    default = CONFIG_MAPPING[kind]() if kind in CONFIG_MAPPING else None
    if default is None or not default.is_encoder_decoder:
        return {}
    has_end = getattr(default, _FORCED_END, None) is not None
    return {_START: ("pad", "bos", "cls"), **({_FORCED_END: ("eos", "sep")} if has_end else {})}


def _ids_of(processor: Vocabulary) -> int:
    """One more than the largest id."""
    return max(processor.vocabulary().values(), default=0) + 1


def _special_ids(processor: Vocabulary, wanted: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    found = {}
    for key, kinds in wanted.items():
        ids = (processor.token_id(kind) for kind in kinds)
        first = next((number for number in ids if number is not None), None)
        if first is not None:
            found[key] = first
    return found
