"""The job that opens a new artifact once in its engine, before the store keeps it."""

from __future__ import annotations

import gc
import traceback
from pathlib import Path

from compress.artifact import Artifact
from compress.engine import Placement
from compress.errors import (
    CompressError,
    EnvironmentFailure,
    ModelRefused,
    name_and_first_line,
)
from compress.machine import threads
from compress.pretrained.modelfolder import model_types
from compress.registry.models import needs_torch, register_models
from compress.registry.plugins import Registry, engine_for, explain_missing_package
from compress.workers.channel import WorkerLine
from compress.workers.jobs.common import task_of
from compress.workers.protocol import Chosen, Finished, OpenArtifact


def run(job: OpenArtifact, line: WorkerLine, registry: Registry) -> Finished:
    """Open the artifact in ``job.folder``, and its processor. Raises as ``open_once``."""
    open_once(job.folder, job.task, job.made_by, registry)
    return Finished(opened=True)


def open_once(folder: Path, task: Chosen, made_by: str, registry: Registry) -> None:
    """Open the artifact in ``folder`` and its processor for a task.

    Raises CompressError that names the stage and the plugin that it was ``made_by`` for a folder
    that does not open. ModelRefused and EnvironmentFailure stay what they are."""
    gc.collect()  # the stage's own model, if it made it in this process
    try:
        _open(Artifact.open(folder), task, registry)
    except (ModelRefused, EnvironmentFailure):  # no mistake of the stage
        raise
    except Exception as error:  # a plugin's engine may raise anything
        traceback.print_exc()
        is_told = isinstance(error, CompressError)
        why = str(error) if is_told else name_and_first_line(error)
        raise CompressError(
            f"{made_by} wrote a model that does not open, so it is not kept: "
            f"{why.replace(str(folder), 'its folder')}"
        ) from error


def _open(artifact: Artifact, chosen: Chosen, registry: Registry) -> None:
    engine, task = engine_for(registry, artifact.traits.format), task_of(chosen, registry)
    task.processor(artifact.folder)
    with explain_missing_package(registry.engines[engine.name]):
        if needs_torch(engine.packages):
            register_models(registry, model_types([artifact.folder]))
        engine.open(artifact, Placement(engine.devices()[0], threads()), task)
