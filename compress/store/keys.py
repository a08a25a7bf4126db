"""The ingredients of each kind of product: what its content depends on, and its key is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

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
from compress.store.prepared import Prepared
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


@dataclass(frozen=True)
class Given:
    """What a step is made of: the artifact ``parent``, or without one a ``fresh`` configuration;
    the artifacts that its options name; prepared ``data``, and the rows without targets that its
    options describe; and the numbers that its stage reads of the steps before."""

    parent: Artifact | None
    fresh: JsonObject | None = None
    references: Mapping[str, Artifact] = field(default_factory=dict)
    data: Prepared | None = None
    unlabelled: Mapping[str, Prepared] = field(default_factory=dict)
    earlier: Mapping[str, Measured] = field(default_factory=dict)

    def of_choice(self) -> Given:
        """What a choice of the step is made of."""
        return Given(self.parent, data=self.data)


def step_ingredients(step: Step, given: Given, registry: Registry) -> Ingredients:
    """What a step's artifact depends on."""
    asked = {
        "kind": "artifact",
        "stage": step.entry.name,
        "options": without_names(step.options),
        "input": given.parent.digest if given.parent else None,
        "references": {option: one.digest for option, one in given.references.items()},
        "data": given.data.digest if given.data else None,
        "fresh": _start(given),
        "seed": step.seed,
        "task": step.task.as_dict(),
    }
    origins, used = _origins(step, given, registry), _where_used(step, given, registry)
    return Ingredients("artifact", {**asked, **origins, **used})


def _start(given: Given) -> JsonObject | None:
    return dict(given.fresh) if given.fresh and given.parent is None else None


def _origins(step: Step, given: Given, registry: Registry) -> JsonObject:
    """The versions of what makes it, and what its options leave to the machine: machines share a
    store."""
    stage = step.entry.cls
    folders = [one.folder for one in (given.parent, *given.references.values()) if one is not None]
    return {
        "plugin": step.entry.origin,
        "task_plugin": step.task.entry.origin,
        "libraries": versions(("compress-toolkit", *stage.libraries)),
        "machine": dict(step.options.left_to_machine()),
        "architectures": registry.origins("architectures") if stage.reads_architectures else None,
        "models": model_origins(registry, model_types(folders, _start(given), step.options)),
    }


def _where_used(step: Step, given: Given, registry: Registry) -> JsonObject:
    """What few steps have. Without it, a key is as if there were no such thing.

    Several processes are part of it, because each draws its dropout from a generator of its own,
    and adds its part of a gradient to the others' in another order than one process does."""
    used: dict[str, Any] = {}
    if given.unlabelled:
        used["unlabelled"] = {option: rows.digest for option, rows in given.unlabelled.items()}
    if step.choices:
        own = given.of_choice()
        used["choices"] = {
            name: step_ingredients(choice, own, registry).values
            for name, choice in step.choices.items()
        }
    if step.processes > 1:
        used["processes"] = step.processes
    if step.entry.cls.reads_earlier:
        used["earlier"] = {name: one.as_dict() for name, one in given.earlier.items()}
    return used


def earlier_numbers(measured: Mapping[str, Measured]) -> dict[str, Measured]:
    """Measurements and comparisons without the samples that meters keep, and without what measuring
    took."""
    return {name: Measured(m.measurements, m.comparisons) for name, m in measured.items()}
