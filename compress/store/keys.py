"""The ingredients of each kind of product: what its content depends on, and its key is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from compress.artifact import MANIFEST, Artifact, JsonObject, sha256_file
from compress.machine import versions
from compress.measurement import Measured
from compress.options import without_names
from compress.planning import DataChoice, Input, Step, TaskChoice
from compress.pretrained.modelfolder import (
    folder_labels,
    folder_traits,
    model_types,
    source_files,
    vocabulary_files,
)
from compress.registry.models import model_origins
from compress.registry.plugins import Registry
from compress.store.store import Ingredients

_DATA_LAYOUT = 3
"""The version of the files that ``store/prepared`` writes. Data of another one are prepared
again."""


def data_ingredients(data: DataChoice, task: TaskChoice) -> Ingredients:
    """What prepared data depend on: the source with the identity of its content, and the task."""
    return Ingredients(
        "data",
        {
            "kind": "data",
            "layout": _DATA_LAYOUT,
            "source": data.as_dict(),
            "source_plugin": data.entry.origin,
            "identity": dict(data.make().identity()),
            "task": task.as_dict(),
            "task_plugin": task.entry.origin,
        },
    )


def unlabelled_ingredients(data: DataChoice, task: TaskChoice) -> Ingredients:
    """What prepared rows without targets depend on: the same as prepared data."""
    whole = data_ingredients(data, task)
    return Ingredients(whole.kind, {**whole.values, "kind": "unlabelled"})


def config_ingredients(
    fresh: JsonObject, task: TaskChoice, labels: tuple[str, ...], registry: Registry
) -> Ingredients:
    """What the whole config of a fresh model depends on: its configuration in the recipe, its head,
    and the plugin and the libraries that build it."""
    return Ingredients(
        "config",
        {
            "kind": "configure",
            "fresh": dict(fresh),
            "task": task.as_dict(),
            "labels": list(labels),
            "task_plugin": task.entry.origin,
            "libraries": versions(("compress-toolkit", "torch", "transformers", "huggingface-hub")),
            "models": model_origins(registry, [fresh["type"]]),
        },
    )


def import_ingredients(model: Input, folder: Path, registry: Registry) -> Ingredients:
    """What the artifact of a model from outside depends on; ``folder`` holds the model.

    Raises UsageError for a folder that does not hold a whole model."""
    read = {*source_files(folder), *vocabulary_files(folder)}
    files = {path.relative_to(folder).as_posix(): sha256_file(path) for path in sorted(read)}
    manifest = folder / MANIFEST
    # The import copies a manifest as it is. Without one it also depends on what the files do not
    # state: the name of the source, the task of the head as the installed tasks read it, and
    # transformers, which may convert the tokenizer.
    if manifest.is_file():
        described: JsonObject = {"manifest": sha256_file(manifest)}
    else:
        described = {
            "base": source_name(model),
            "traits": asdict(folder_traits(folder, registry, model.tasks)),
            "labels": folder_labels(folder, registry, model.tasks),
            "libraries": versions(("compress-toolkit", "transformers", "tokenizers")),
            "models": model_origins(registry, model_types([folder])),
        }
    return Ingredients(
        "artifact", {"kind": "artifact", "stage": "import", "files": files, **described}
    )


def source_name(model: Input) -> str:
    """The name that a manifest gives for where a model is from: a hub id, or the last part of a
    folder's path, for paths differ between machines."""
    return model.source if model.from_hub else Path(model.source).name


def step_ingredients(
    step: Step,
    parent: Artifact | None,
    references: Mapping[str, Artifact],
    data: str | None,
    fresh: JsonObject | None,
    registry: Registry,
    earlier: Mapping[str, Measured] | None = None,
    unlabelled: Mapping[str, str] | None = None,
) -> Ingredients:
    """What a step's artifact depends on. ``data`` is the digest of its data, and ``unlabelled`` are
    those of the rows without targets that its options describe; ``fresh`` is the
    configuration that a stage without input starts from; ``earlier`` are the numbers that its stage
    reads of the steps before.

    Machines share a store, so what the options leave to the machine is part of it. Several
    processes are, because each draws its dropout from a generator of its own, and adds its part of
    a gradient to the others' in another order than one process does."""
    stage = step.entry.cls
    start = dict(fresh) if fresh and parent is None else None
    choices = {
        name: step_ingredients(choice, parent, {}, data, None, registry).values
        for name, choice in step.choices.items()
    }
    folders = [each.folder for each in (parent, *references.values()) if each is not None]
    return Ingredients(
        "artifact",
        {
            "kind": "artifact",
            "stage": step.entry.name,
            "plugin": step.entry.origin,
            "options": without_names(step.options),
            "input": parent.digest if parent else None,
            "references": {option: artifact.digest for option, artifact in references.items()},
            "data": data,
            "fresh": start,
            "seed": step.seed,
            "task": step.task.as_dict(),
            "task_plugin": step.task.entry.origin,
            "libraries": versions(("compress-toolkit", *stage.libraries)),
            "machine": dict(step.options.left_to_machine()),
            "architectures": (
                registry.origins("architectures") if stage.reads_architectures else None
            ),
            "models": model_origins(registry, model_types(folders, start, step.options)),
            **({"unlabelled": dict(unlabelled)} if unlabelled else {}),
            **({"choices": choices} if choices else {}),
            **({"processes": step.processes} if step.processes > 1 else {}),
            **({"earlier": _as_dicts(earlier or {})} if stage.reads_earlier else {}),
        },
    )


def earlier_numbers(measured: Mapping[str, Measured]) -> dict[str, Measured]:
    """Measurements and comparisons without the samples that meters keep, and without what measuring
    took."""
    return {name: Measured(m.measurements, m.comparisons) for name, m in measured.items()}


def _as_dicts(measured: Mapping[str, Measured]) -> JsonObject:
    return {name: m.as_dict() for name, m in measured.items()}
