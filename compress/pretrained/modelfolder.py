"""Model folders from outside: what their files state, and which files an artifact copies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from compress.architecture import ModelConfig
from compress.artifact import MANIFEST, Artifact, Manifest, Traits
from compress.errors import UsageError
from compress.processor import TOKENIZER_FILES
from compress.registry.plugins import Registry

_WEIGHTS = "model.safetensors"
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl")
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


def folder_traits(folder: Path, registry: Registry, tasks: Sequence[str] = ()) -> Traits:
    """Traits of a model folder, from its manifest if it has one, else from its ``config.json``.
    ``tasks`` decide which task its head serves, as in ``_served_task``.

    Raises UsageError for a folder that holds no model, that has no readable safetensors weights or
    no tokenizer, or whose config would run code from the folder (``auto_map``)."""
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
    if not any(path.is_file() for path in _matching(folder, _VOCABULARIES)):
        raise UsageError(
            f"{folder} has no tokenizer files; save the model's tokenizer there with "
            "save_pretrained"
        )
    precision = "int8" if config.get("quantization_config") else "float"
    task = _served_task(config, registry, tasks)
    return Traits(precision=precision, trainable=precision == "float", task=task)


def folder_labels(folder: Path, registry: Registry, tasks: Sequence[str] = ()) -> tuple[str, ...]:
    """Labels of a model folder without a manifest, as its ``config.json`` states them. Empty if no
    task has such a head, or the head has no labels. ``tasks`` decide as in ``_served_task``."""
    config = read_config(folder)
    entry = registry.tasks.get(_served_task(config, registry, tasks) or "")
    return entry.cls.stated_labels(config) if entry else ()


def head_tasks(config: ModelConfig, registry: Registry) -> list[str]:
    """Names of the registered tasks that the head of a model's ``config.json`` may serve, in the
    order of the alphabet; empty for a bare encoder.

    A task is one of them if a class under ``architectures`` ends with one of its ``heads``
    (``BertForTokenClassification``). Two plugins may bring tasks for one kind of head."""
    classes = config.get("architectures") or []
    return sorted(
        entry.name
        for entry in registry.tasks.values()
        if any(name.endswith(tuple(entry.cls.heads)) for name in classes)
    )


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
    names = ("config.json", "generation_config.json", *TOKENIZER_FILES)
    return _weights(folder) + [folder / name for name in names if (folder / name).is_file()]


def vocabulary_files(folder: Path) -> list[Path]:
    """The files from which transformers makes the tokenizer of a folder that has no
    ``tokenizer.json``."""
    return sorted({path for path in _matching(folder, TOKENIZER_PATTERNS) if path.is_file()})


def tensor_headers(folder: Path) -> dict[str, tuple[str, list[int]]]:
    """Dtype (as safetensors names it, ``F32``) and shape of each tensor by name, from the headers
    of the folder's weights.

    Raises UsageError if there are no safetensors weights, or if a file is damaged or cut off."""
    from safetensors import SafetensorError, safe_open

    headers = {}
    for path in _weights(folder):
        if path.suffix != ".safetensors":  # the index
            continue
        try:
            with safe_open(path, framework="numpy") as tensors:
                for name in tensors.keys():  # noqa: SIM118 (it is not a dict)
                    tensor = tensors.get_slice(name)
                    headers[name] = (str(tensor.get_dtype()), list(tensor.get_shape()))
        except (SafetensorError, OSError) as error:
            raise UsageError(f"{path} cannot be read: {error}") from error
    return headers


def read_config(folder: Path) -> ModelConfig:
    """The entries of the folder's ``config.json``. Raises UsageError if it is missing or no JSON
    object."""
    file = folder / "config.json"
    if not file.is_file():
        raise UsageError(f"{folder} is not a model folder: it has no config.json")
    try:
        values: Any = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{file} is not a config: it holds no JSON object")
    return values


def _weights(folder: Path) -> list[Path]:
    """The files of weights that transformers reads: ``model.safetensors``, else the files of its
    index and the index. A folder with neither has all its safetensors files read.

    Raises UsageError if there are none."""
    # Other files beside these, such as Mistral's consolidated.safetensors, hold the same weights
    # once more.
    single, index = folder / _WEIGHTS, folder / f"{_WEIGHTS}.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        return [*_indexed(index), index]
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise UsageError(f"{folder} has no safetensors weights{_pickle_remedy(folder)}")
    return weights


def _pickle_remedy(folder: Path) -> str:
    """What to do with the first pickle of a folder, to be added to a message; empty if it has
    none."""
    pickle = next(_matching(folder, PICKLES), None)
    if pickle is None:
        return ""
    return (
        f"; {pickle.name} is a pickle, which can run code and is not read: convert it with "
        "transformers first"
    )


def _matching(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """Everything in the folder that matches one of the patterns, in the order of the patterns."""
    for pattern in patterns:
        yield from folder.glob(pattern)


def _indexed(index: Path) -> list[Path]:
    """The files that an index of weights names. Raises UsageError if it cannot be read or a file is
    missing."""
    try:
        file_of_weight = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(map(str, file_of_weight.values())))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{index} cannot be read as an index of weights: {error}") from error
    for name in names:
        is_in_folder = Path(name).name == name and (index.parent / name).is_file()
        if not is_in_folder:
            raise UsageError(f"{index} names {name}, which is not in the folder")
    return [index.parent / name for name in names]


def _served_task(config: ModelConfig, registry: Registry, tasks: Sequence[str]) -> str | None:
    """The task that a head serves; None for a bare encoder.

    If several tasks have such a head, the first in ``tasks`` decides, which are those of the
    recipe. If none of them does, nothing is made of the head: it serves no task of the recipe, and
    the names are joined for messages."""
    able = head_tasks(config, registry)
    chosen = next((task for task in tasks if task in able), None)
    return chosen or " or ".join(able) or None
