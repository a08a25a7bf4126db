"""Model folders from outside: what their files state, and which files an artifact copies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from compress.artifact import MANIFEST, Artifact, Manifest, Traits
from compress.errors import UsageError
from compress.jsonfiles import read_object, refuse_large
from compress.pretrained.configs import read_config
from compress.processor import TOKENIZER_FILES
from compress.registry.plugins import Registry
from compress.weightfiles import INDEX, matching, tensor_headers, weight_files

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
# Names of the files in which transformers' tokenizers keep their vocabularies;
# tokenizer_config.json holds none.
_VOCABULARIES = (
    "tokenizer.json",
    "*vocab*",
    "*.model",
    "*.spm",
    "*.tokenizer",
    "*.tiktoken",
    "bpe.codes",
    "tekken.json",
)
TOKENIZER_PATTERNS = (*_VOCABULARIES, "merges.txt", "added_tokens.json")
"""Names of the files from which transformers makes a tokenizer."""
_SMALL_FILES = ("tokenizer_config.json", "special_tokens_map.json", "generation_config.json")
"""Files beside the config that a plan can read in no time."""


def folder_traits(folder: Path, registry: Registry) -> Traits:
    """Traits of a model folder, from its manifest if it has one, else from its ``config.json``.

    Raises UsageError for a folder that holds no model, that has no readable safetensors weights or
    no tokenizer, or whose config would run code from the folder (``auto_map``). The tokenizer and
    the weights themselves are checked when the model is taken in."""
    if (folder / MANIFEST).is_file():
        return Manifest.read(folder).traits
    config = read_config(folder)
    if "auto_map" in config:
        raise UsageError(
            f"{folder}: its config has an auto_map, which runs code from the model folder; that is "
            "refused"
        )
    if not isinstance(config.get("model_type"), str):
        raise UsageError(
            f"{folder / 'config.json'} has no model_type, by which a model's family is known"
        )
    tensor_headers(folder)
    for name in _SMALL_FILES:
        if (folder / name).is_file():
            read_object(folder / name, infinity=True)
    if (folder / "tokenizer.json").is_file():
        refuse_large(folder / "tokenizer.json")
    if not any(path.is_file() for path in matching(folder, _VOCABULARIES)):
        raise UsageError(
            f"{folder} has no tokenizer files; save the model's tokenizer there with "
            "save_pretrained"
        )
    precision = "int8" if config.get("quantization_config") else "float"
    task = _task_of_classes(config.get("architectures") or [], registry)
    return Traits(precision=precision, trainable=precision == "float", task=task)


def folder_labels(folder: Path, registry: Registry) -> tuple[str, ...]:
    """Labels of a model folder without a manifest, as its ``config.json`` states them. Empty if no
    task has such a head, or the head has no labels."""
    config = read_config(folder)
    task = _task_of_classes(config.get("architectures") or [], registry)
    return registry.tasks[task].cls.stated_labels(config) if task else ()


def is_hub_id(word: str) -> bool:
    """Whether a word may name a model on the hub. A word that looks like a path may not. The caller
    has found no folder of that name."""
    return not word.startswith((".", "/", "~")) and _HUB_ID.fullmatch(word) is not None


def source_files(folder: Path) -> list[Path]:
    """The files of a model folder that an artifact copies: those of its manifest, else config,
    weights and tokenizer.

    Raises UsageError if there are no safetensors weights."""
    if (folder / MANIFEST).is_file():
        return [folder / name for name in Artifact.open(folder).manifest.files]
    weights = weight_files(folder)
    names = ["config.json", "generation_config.json", *TOKENIZER_FILES]
    if weights != [folder / "model.safetensors"]:
        names.append(INDEX)
    return weights + [folder / name for name in names if (folder / name).is_file()]


def vocabulary_files(folder: Path) -> list[Path]:
    """The files from which transformers makes the tokenizer of a folder that has no
    ``tokenizer.json``."""
    return sorted({path for path in matching(folder, TOKENIZER_PATTERNS) if path.is_file()})


def _task_of_classes(classes: Sequence[str], registry: Registry) -> str | None:
    """The registered task with a head that one of the transformers class names ends with
    (``BertForTokenClassification``); None for a bare encoder."""
    for entry in registry.tasks.values():
        if any(name.endswith(tuple(entry.cls.heads)) for name in classes):
            return entry.name
    return None
