"""What products depend on: the ingredients of their keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compress.artifact import MANIFEST, sha256_file
from compress.machine import versions
from compress.planning import DataChoice, Input, Step, TaskChoice
from compress.pretrained.modelfolder import (
    folder_labels,
    folder_traits,
    source_files,
    vocabulary_files,
)
from compress.registry.plugins import Registry


def data_ingredients(data: DataChoice, task: TaskChoice) -> dict[str, Any]:
    """What prepared data depend on: the source with the identity of its content, and the task."""
    return {
        "kind": "data",
        "source": data.as_dict(),
        "source_plugin": data.entry.origin,
        "identity": dict(data.make().identity()),
        "task": task.as_dict(),
        "task_plugin": task.entry.origin,
    }


def import_ingredients(model: Input, folder: Path, registry: Registry) -> dict[str, Any]:
    """What the artifact of a model from outside depends on, which is in ``folder``.

    Raises UsageError for a folder that is not a whole model's."""
    read = {*source_files(folder), *vocabulary_files(folder)}
    files = {path.relative_to(folder).as_posix(): sha256_file(path) for path in sorted(read)}
    manifest = folder / MANIFEST
    # A manifest is taken over whole. Without one the source's name is what the files do not tell,
    # the tasks that are installed say what its head is for, and transformers may have to convert
    # its tokenizer.
    told = (
        {"manifest": sha256_file(manifest)}
        if manifest.is_file()
        else {
            "base": source_name(model),
            "traits": asdict(folder_traits(folder, registry)),
            "labels": folder_labels(folder, registry),
            "libraries": versions(("compress-toolkit", "transformers", "tokenizers")),
        }
    )
    return {"kind": "artifact", "stage": "import", "files": files, **told}


def source_name(model: Input) -> str:
    """What says where a model is from: a hub id, or of a folder its name alone, for paths differ
    between machines."""
    return model.source if model.from_hub else Path(model.source).name


def step_ingredients(
    step: Step,
    parent: str | None,
    references: Mapping[str, str],
    data: str | None,
    fresh: Mapping[str, Any] | None,
    registry: Registry,
) -> dict[str, Any]:
    """What a step's artifact depends on. ``parent``, ``references`` and ``data`` are digests of
    content; ``fresh`` is the configuration that a stage without input starts from. A store is
    shared by machines, so that what the options leave to the machine is among it."""
    libraries = versions(("compress-toolkit", *step.entry.cls.libraries))
    return {
        "kind": "artifact",
        "stage": step.entry.name,
        "plugin": step.entry.origin,
        "options": _without(step.options.model_dump(mode="json"), references),
        "input": parent,
        "references": dict(references),
        "data": data,
        "fresh": dict(fresh) if fresh and parent is None else None,
        "seed": step.seed,
        "task": step.task.as_dict(),
        "task_plugin": step.task.entry.origin,
        "libraries": libraries,
        "machine": dict(step.options.left_to_machine()),
        "architectures": registry.origins("architectures")
        if step.entry.cls.reads_architectures
        else None,
    }


def _without(options: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Options less those that name artifacts: the artifact's digest stands for the name."""
    return {key: value for key, value in options.items() if key not in names}
