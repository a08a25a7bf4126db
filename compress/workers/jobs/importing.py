"""The job that makes an artifact of a model folder from outside: it copies the files and reads the
head and labels."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from compress.artifact import MANIFEST, Manifest, with_files
from compress.errors import UsageError, first_line
from compress.pretrained.modelfolder import (
    folder_labels,
    folder_traits,
    source_files,
    tensor_headers,
)
from compress.pretrained.specialtokens import default_tokens
from compress.registry.plugins import Registry
from compress.workers.channel import WorkerLine
from compress.workers.protocol import Finished, ImportModel

_QUANTIZED = ("I8", "U8")
"""Dtypes of quantized weights, as safetensors names them."""


def run(job: ImportModel, line: WorkerLine, registry: Registry) -> Finished:
    """Write an artifact with the files of ``job.folder`` into ``job.output``."""
    folder, output = job.folder, job.output
    for path in source_files(folder):
        target = output / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    if (folder / MANIFEST).is_file():
        Manifest.read(folder).write(output)
        return Finished()
    _complete_tokenizer(folder, output)
    _name_special_tokens(folder, output)
    manifest = Manifest(
        folder_traits(folder, registry, job.tasks),
        {},
        step=job.step,
        stage="import",
        base=job.source,
        labels=folder_labels(folder, registry, job.tasks),
        parameters=_count_parameters(tensor_headers(folder)),
    )
    with_files(manifest, output).write(output)
    return Finished()


def _complete_tokenizer(folder: Path, output: Path) -> None:
    """Write ``tokenizer.json`` if the folder has only an older kind of tokenizer; transformers
    converts it.

    Raises UsageError if transformers cannot read the tokenizer, or would invent one."""
    if (output / "tokenizer.json").is_file():
        return
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder} has no tokenizer that transformers can read: {first_line(error)}"
        ) from error
    # If the vocabulary of its family is missing, transformers gives a tokenizer that knows the
    # special tokens alone, and perhaps a space.
    if len(set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)) < 2:
        raise UsageError(
            f"{folder} has no vocabulary for a {type(tokenizer).__name__}, which its config asks "
            "for"
        )
    tokenizer.save_pretrained(output)


def _name_special_tokens(folder: Path, output: Path) -> None:
    """Write into ``tokenizer_config.json`` the special tokens that the folder leaves to the
    tokenizer's class in transformers. Code that reads a tokenizer without transformers has no such
    defaults."""
    file = output / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    named = default_tokens(folder, config, Tokenizer.from_file(str(output / "tokenizer.json")))
    if named:
        file.write_text(
            json.dumps({**config, **named}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def _count_parameters(tensors: Mapping[str, tuple[str, Sequence[int]]]) -> int:
    """Number of weights among the stored ``tensors``: elements of floats of any width and of 8-bit
    integers.

    An 8-bit integer is a weight of a quantized model and counts as one. The scales and marks beside
    a module's quantized ``weight`` are not weights. Wider integers and booleans are buffers, such
    as the position ids of older checkpoints."""
    quantized = {
        name.rpartition(".")[0]
        for name, (dtype, _) in tensors.items()
        if dtype in _QUANTIZED and name.endswith(".weight")
    }
    total = 0
    for name, (dtype, shape) in tensors.items():
        module, _, part = name.rpartition(".")
        is_weight = part in ("weight", "bias") if module in quantized else True
        if is_weight and (dtype in _QUANTIZED or dtype.startswith(("F", "BF"))):
            total += math.prod(shape)
    return total
