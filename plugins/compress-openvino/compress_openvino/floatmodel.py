"""The float models of an artifact: one product of the store, which every stage here starts from. So
they are exported and checked once, whatever is made of them. No torch, unless they are exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compress.artifact import Artifact
from compress.machine import versions
from compress.stage import Context
from compress_openvino import BEGINNING, LIBRARIES

KIND = "openvino-model"


def float_models(context: Context[Any], artifact: Artifact) -> list[Path]:
    """The files with the float models of a PyTorch ``artifact``, one for each part of it, from the
    store, or exported now. Those of an OpenVINO ``artifact`` are its own.

    Raises ModelRefused for a model that cannot be exported, or that answers otherwise."""
    folder = artifact.folder
    if artifact.traits.format == "pytorch":
        ingredients = {
            "input": artifact.digest,
            "task": context.task.name,
            "task_options": context.task.options.model_dump(mode="json"),
            "libraries": versions(("compress-toolkit", *LIBRARIES, *artifact.manifest.needs)),
        }
        folder = context.product(KIND, ingredients, lambda out: _export(context, artifact, out))
    return sorted(folder.glob(f"{BEGINNING}*.xml"))


def _export(context: Context[Any], artifact: Artifact, folder: Path) -> None:
    from compress_openvino.exporting import export_parts

    export_parts(context, artifact, folder)
