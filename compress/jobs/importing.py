"""The job that makes an artifact of a model folder from outside: its files are copied, its head and labels read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from compress.artifact import MANIFEST, Manifest, with_files
from compress.channel import WorkerLine
from compress.errors import UsageError
from compress.modelfolder import folder_traits, source_files
from compress.plugins import Registry


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
    traits = folder_traits(folder, registry)
    config = json.loads((output / "config.json").read_text(encoding="utf-8"))
    labels = _labels(config) if traits.task else ()
    manifest = Manifest(traits, {}, step=job["step"], stage="import", labels=labels, base=job["source"],
                        parameters=_count_parameters(output))
    with_files(manifest, output).write(output)
    return {}


def _labels(config: dict[str, Any]) -> tuple[str, ...]:
    names = config.get("id2label") or {}
    return tuple(str(names[key]) for key in sorted(names, key=int))


def _complete_tokenizer(folder: Path, output: Path) -> None:
    """Write ``tokenizer.json`` where the folder has only an older kind of tokenizer; transformers converts it."""
    if (output / "tokenizer.json").is_file():
        return
    from transformers import AutoTokenizer

    try:
        AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False).save_pretrained(output)
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} has no tokenizer that transformers can read: {str(error).splitlines()[0]}") from error


def _count_parameters(folder: Path) -> int:
    """Elements of all float tensors, from the files' headers alone."""
    from safetensors import safe_open

    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (it is not a dict)
                size = 1
                for extent in tensors.get_slice(name).get_shape():
                    size *= extent
                total += size
    return total
