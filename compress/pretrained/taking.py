"""Taking in a model folder from outside: an artifact is made of it, or one line says why not."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from compress.artifact import MANIFEST, Manifest
from compress.engine import stored_tensors
from compress.errors import UsageError
from compress.jsonfiles import read_object
from compress.pretrained.building import embedding_rows
from compress.pretrained.configs import FILE as CONFIG
from compress.pretrained.configs import read_config, refuse_absurd_depth
from compress.pretrained.modelfolder import (
    folder_labels,
    folder_traits,
    has_tokenizer,
    head_tasks,
    model_types,
    source_files,
)
from compress.pretrained.tokens import refuse_ids_beyond, refuse_other_ids, take_tokenizer
from compress.processor import TOKENIZER_FILES, Vocabulary
from compress.registry.models import distributions_bringing, register_models
from compress.registry.plugins import Registry, explain_missing_package
from compress.weightfiles import SUFFIX, Header, tensor_headers

_QUANTIZED = ("I8", "U8")
"""Dtypes of quantized weights, as safetensors names them."""


def take_in(
    folder: Path,
    output: Path,
    registry: Registry,
    *,
    step: str,
    source: str,
    tasks: Sequence[str] = (),
    place_weights: Callable[[Path, Path], object] = shutil.copyfile,
) -> Manifest:
    """The manifest, without digests, of the artifact that is now in ``output``.

    A folder with a manifest is copied as it is. Of any other, what the core reads is completed:
    the tokenizer is ``AutoTokenizer``'s, and ``id2label`` names the labels. ``step`` and ``source``
    are its names in the manifest; ``tasks`` decide which task its head serves.
    ``place_weights(file, target)`` puts a file of weights into ``output``; the others are small,
    and are copied.

    Raises UsageError for a folder that cannot be used as transformers would use it. Imports
    transformers."""
    has_manifest = (folder / MANIFEST).is_file()
    # Before anything is copied: it finds files that are too large.
    traits = folder_traits(folder, registry, tasks)
    _copy(folder, output, place_weights)
    if has_manifest:
        return Manifest.read(folder)
    kinds = model_types([folder])
    register_models(registry, kinds)
    labels = folder_labels(folder, registry, tasks)
    headers = tensor_headers(folder)
    refuse_absurd_depth(folder / CONFIG, read_config(folder), len(headers))
    refuse_not_finite(folder)
    _complete_config(folder, output)
    _complete_tokenizer(folder, output, registry)
    brought = distributions_bringing(registry, kinds)
    return Manifest(
        traits,
        {},
        needs=("compress-toolkit", *brought) if brought else (),
        step=step,
        stage="import",
        base=source,
        labels=labels,
        parameters=count_parameters(headers),
    )


def _copy(folder: Path, output: Path, place_weights: Callable[[Path, Path], object]) -> None:
    """Put the files of the model in ``folder`` into ``output``."""
    for path in source_files(folder):
        target = output / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        place = place_weights if path.name.endswith(SUFFIX) else shutil.copyfile
        place(path, target)


def _complete_tokenizer(folder: Path, output: Path, registry: Registry) -> None:
    """Write the tokenizer as transformers reads it, if the model has one. Raises UsageError for ids
    that its embeddings do not have, and for a model that its family cannot build."""
    processor: Vocabulary | None = _own_processor(folder, output, registry)
    if processor is None and has_tokenizer(folder):
        processor = take_tokenizer(folder, output)
    rows = embedding_rows(folder)
    if processor is not None and rows is not None:
        refuse_ids_beyond(folder, processor, rows)


def _own_processor(folder: Path, output: Path, registry: Registry) -> Vocabulary | None:
    """The processor of a task that reads the folder without a ``tokenizer.json``; its files are now
    in ``output``. None if the folder has that file, or no task that its head may serve reads it."""
    if (folder / TOKENIZER_FILES[0]).is_file():
        return None
    for name in head_tasks(read_config(folder), registry):
        entry = registry.tasks[name]
        try:
            with explain_missing_package(entry):
                processor = entry.cls(entry.cls.Options()).processor(folder)
        except UsageError:  # it does not read these files
            continue
        if isinstance(processor, Vocabulary):
            refuse_other_ids(folder, processor)
            processor.save(output)
            return processor
    return None


def refuse_not_finite(folder: Path) -> None:
    """Raise UsageError for weights that are NaN or infinite. A mask that is stored beside them may
    be infinite."""
    for name, values in stored_tensors(folder):
        is_mask = "mask" in name.rpartition(".")[2]
        if is_mask or values.dtype.kind in "iub":
            continue
        broken = values.size - int(np.isfinite(values).sum())
        if broken:
            raise UsageError(
                f"{folder}: {broken} of the {values.size} weights of {name} are not finite (NaN or "
                "infinite): such a model has no answers"
            )


def count_parameters(tensors: Mapping[str, Header]) -> int:
    """Number of weights among the stored ``tensors``: elements of floats of any width and of 8-bit
    integers.

    An 8-bit integer is a weight of a quantized model and counts as one. The scales and marks beside
    a module's quantized ``weight`` are not weights. Wider integers and booleans are buffers, such
    as the position ids of older checkpoints."""
    quantized = {
        name.rpartition(".")[0]
        for name, header in tensors.items()
        if header.dtype in _QUANTIZED and name.endswith(".weight")
    }
    total = 0
    for name, (dtype, shape) in tensors.items():
        module, _, part = name.rpartition(".")
        is_weight = part in ("weight", "bias") if module in quantized else True
        if is_weight and (dtype in _QUANTIZED or dtype.startswith(("F", "BF"))):
            total += math.prod(shape)
    return total


def _complete_config(folder: Path, output: Path) -> None:
    """Write ``id2label`` where the config has ``label2id`` alone: transformers would take the head
    for one of two outputs without names."""
    own, whole = read_object(folder / CONFIG, infinity=True), read_config(folder)
    if own.get("id2label") != whole.get("id2label"):
        text = json.dumps(dict(whole), indent=2, ensure_ascii=False)
        (output / CONFIG).write_text(text + "\n", encoding="utf-8")
