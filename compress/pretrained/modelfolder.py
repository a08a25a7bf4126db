"""Model folders from outside: what their files state, and which files an artifact copies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from compress.architecture import ModelConfig
from compress.artifact import MANIFEST, Artifact, Manifest, Traits
from compress.errors import UsageError
from compress.heads import has_head
from compress.jsonfiles import read_object, refuse_large
from compress.options import Options, fresh_models
from compress.pretrained.configs import FILE as CONFIG
from compress.pretrained.configs import read_config
from compress.processor import TOKENIZER_FILES
from compress.registry.models import refuse_missing_needs
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
PREPROCESSOR = "preprocessor_config.json"
"""What transformers writes for models of sounds and pictures."""
_SMALL_FILES = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
    PREPROCESSOR,
)
"""Files beside the config that a plan can read in no time."""


def folder_traits(folder: Path, registry: Registry, tasks: Sequence[str] = ()) -> Traits:
    """Traits of a model folder, from its manifest if it has one, else from its ``config.json``.
    ``tasks`` decide which task its head serves, as in ``_served_task``.

    Raises UsageError for a folder that holds no model, that has no readable safetensors weights or
    no processor, that needs a distribution which is not installed, or whose config would run code
    from the folder (``auto_map``). The tokenizer and
    the weights themselves are checked when the model is taken in."""
    if (folder / MANIFEST).is_file():
        manifest = Manifest.read(folder)
        refuse_missing_needs(folder, manifest.needs)
        return manifest.traits
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
    if not has_tokenizer(folder) and not (folder / PREPROCESSOR).is_file():
        raise UsageError(
            f"{folder} has no tokenizer files and no {PREPROCESSOR}; save the model's processor "
            "there with save_pretrained"
        )
    precision = "int8" if config.get("quantization_config") else "float"
    task = _served_task(config, registry, tasks)
    return Traits(precision=precision, trainable=precision == "float", task=task)


def has_tokenizer(folder: Path) -> bool:
    """Whether a model folder has the files of a tokenizer. The vocabulary of a model of sounds may
    be one that no tokenizer of the folder reads: it has a ``tokenizer.json``, or none."""
    if (folder / PREPROCESSOR).is_file():
        return (folder / "tokenizer.json").is_file()
    return any(path.is_file() for path in matching(folder, _VOCABULARIES))


def folder_labels(folder: Path, registry: Registry, tasks: Sequence[str] = ()) -> tuple[str, ...]:
    """Labels of a model folder without a manifest, as its ``config.json`` states them. Empty if no
    task has such a head, or the head has no labels. ``tasks`` decide as in ``_served_task``."""
    config = read_config(folder)
    entry = registry.tasks.get(_served_task(config, registry, tasks) or "")
    return tuple(entry.cls.stated_labels(config)) if entry else ()


def model_types(
    folders: Iterable[Path], fresh: ModelConfig | None = None, options: Options | None = None
) -> set[str]:
    """The types of all models that are opened or built: of the ``folders`` of a step's input and
    references, of the configuration that it starts from, and of those in its ``options``."""
    kinds = {kind for folder in folders if (kind := _model_type(folder)) is not None}
    if fresh is not None:
        kinds.add(fresh["type"])
    if options is not None:
        kinds.update(model.type for _, model in fresh_models(options))
    return kinds


def head_tasks(config: ModelConfig, registry: Registry) -> list[str]:
    """Names of the registered tasks that the head of a model's ``config.json`` may serve, in the
    order of the alphabet; empty for a bare encoder.

    A task is one of them if its ``model_class`` opens models with such a head
    (``BertForTokenClassification``). Two plugins may bring tasks for one kind of head."""
    return sorted(
        entry.name
        for entry in registry.tasks.values()
        if has_head(config, entry.cls.model_class(config))
    )


def is_hub_id(word: str) -> bool:
    """Whether a word may name a model on the hub. A word that looks like a path may not. The caller
    has found no folder of that name."""
    return not word.startswith((".", "/", "~")) and _HUB_ID.fullmatch(word) is not None


def source_files(folder: Path) -> list[Path]:
    """The files of a model folder that an artifact copies: those of its manifest, else config,
    weights and processor.

    Raises UsageError if there are no safetensors weights."""
    if (folder / MANIFEST).is_file():
        return [folder / name for name in Artifact.open(folder).manifest.files]
    weights = weight_files(folder)
    names = ["config.json", "generation_config.json", PREPROCESSOR, *TOKENIZER_FILES]
    if weights != [folder / "model.safetensors"]:
        names.append(INDEX)
    return weights + [folder / name for name in names if (folder / name).is_file()]


def vocabulary_files(folder: Path) -> list[Path]:
    """The files from which transformers makes the tokenizer of a folder that has no
    ``tokenizer.json``."""
    return sorted({path for path in matching(folder, TOKENIZER_PATTERNS) if path.is_file()})


def _model_type(folder: Path) -> str | None:
    """The ``model_type`` in a folder's ``config.json``; None if it has no such file, or the file
    does not say."""
    if not (folder / CONFIG).is_file():
        return None
    kind = read_config(folder).get("model_type")
    return kind if isinstance(kind, str) else None


def _served_task(config: ModelConfig, registry: Registry, tasks: Sequence[str]) -> str | None:
    """The task that a head serves; None for a bare encoder.

    If several tasks have such a head, the first in ``tasks`` decides, which are those of the
    recipe. If none of them does, nothing is made of the head: it serves no task of the recipe, and
    the names are joined for messages."""
    able = head_tasks(config, registry)
    chosen = next((task for task in tasks if task in able), None)
    return chosen or " or ".join(able) or None
