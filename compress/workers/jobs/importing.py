"""The job that makes an artifact of a model folder from outside: its files are copied, its head and
labels read."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from compress.artifact import MANIFEST, Manifest, with_files
from compress.errors import UsageError
from compress.pretrained.modelfolder import (
    folder_labels,
    folder_traits,
    source_files,
    tensor_headers,
)
from compress.pretrained.specialtokens import default_tokens
from compress.registry.plugins import Registry
from compress.workers.channel import WorkerLine

_QUANTIZED = ("I8", "U8")


def run(job: dict[str, Any], line: WorkerLine, registry: Registry) -> dict[str, Any]:
    """An artifact with the files of ``job["folder"]`` in ``job["output"]``."""
    folder, output = Path(job["folder"]), Path(job["output"])
    for path in source_files(folder):
        target = output / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    if (folder / MANIFEST).is_file():
        Manifest.read(folder).write(output)
        return {}
    _complete_tokenizer(folder, output)
    _name_special_tokens(folder, output)
    manifest = Manifest(
        folder_traits(folder, registry),
        {},
        step=job["step"],
        stage="import",
        base=job["source"],
        labels=folder_labels(folder, registry),
        parameters=_count_parameters(tensor_headers(folder)),
    )
    with_files(manifest, output).write(output)
    return {}


def _complete_tokenizer(folder: Path, output: Path) -> None:
    """Write ``tokenizer.json`` where the folder has only an older kind of tokenizer; transformers
    converts it.

    Raises UsageError where it cannot, and where it would make one up."""
    if (output / "tokenizer.json").is_file():
        return
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder} has no tokenizer that transformers can read: {str(error).splitlines()[0]}"
        ) from error
    # Without the vocabulary of its family transformers makes a tokenizer of the special tokens, at
    # most with a space.
    if len(set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)) < 2:
        raise UsageError(
            f"{folder} has no vocabulary for a {type(tokenizer).__name__}, which its config asks "
            "for"
        )
    tokenizer.save_pretrained(output)


def _name_special_tokens(folder: Path, output: Path) -> None:
    """Write into ``tokenizer_config.json`` the special tokens that the folder leaves to the
    tokenizer's class in transformers: who reads a tokenizer without transformers has no such
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

    An 8-bit integer is a weight of a quantized model and counts as one; the scales and marks beside
    a module's quantized ``weight`` are no weights. Wider integers and booleans are buffers, such as
    the position ids of older checkpoints."""
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
