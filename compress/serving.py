"""Answering texts with an artifact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError

from compress.artifact import MANIFEST, Artifact, JsonObject
from compress.engine import Placement, open_session
from compress.errors import (
    IntegrityError,
    Mistake,
    UsageError,
    suggestion,
    with_hint,
)
from compress.jsonfiles import first_problem
from compress.machine import threads
from compress.predictor import Predictor
from compress.pretrained.configs import read_config
from compress.pretrained.modelfolder import folder_traits, head_tasks, model_types
from compress.pretrained.taking import take_in
from compress.registry.models import needs_torch, refuse_missing_needs, register_models
from compress.registry.plugins import (
    Registered,
    Registry,
    engine_for,
    explain_missing_package,
)
from compress.task import Task, TaskOptions


def open_predictor(folder: Path, registry: Registry, task_name: str | None = None) -> Predictor:
    """A predictor for a model folder; one from outside, without a manifest, is taken in first.
    ``task_name`` chooses among several tasks that have such a head.

    Raises UsageError if no installed task fits the model's head, or several do and none is chosen,
    or if the folder cannot be taken in."""
    tasks = _chosen(task_name, registry)
    if (folder / MANIFEST).is_file():
        return _opened(Artifact.open(folder), registry, tasks)
    with TemporaryDirectory(prefix="compress-") as name, _naming(Path(name), folder):
        taken = Path(name)
        manifest = take_in(
            folder,
            taken,
            registry,
            step=folder.name,
            source=folder.name,
            tasks=tasks,
            place_weights=lambda file, target: target.symlink_to(file.resolve()),
        )
        predictor = _opened(Artifact(taken, manifest), registry, tasks)
        return replace(predictor, artifact=Artifact(folder, manifest))


def task_class(folder: Path, registry: Registry, task_name: str | None) -> type[Task[Any]] | None:
    """The task that a model folder serves, by its manifest or its config alone; None if none is
    installed. ``task_name`` is as in ``open_predictor``."""
    served = folder_traits(folder, registry, _chosen(task_name, registry)).task
    entry = registry.tasks.get(served or "")
    return entry.cls if entry else None


def _chosen(task_name: str | None, registry: Registry) -> tuple[str, ...]:
    return () if task_name is None else (_chosen_task(task_name, registry),)


@contextmanager
def _naming(taken: Path, folder: Path) -> Iterator[None]:
    """Errors of this block name the user's ``folder`` in place of the copy ``taken``, which is soon
    gone."""

    def renamed(text: str) -> str:
        return text.replace(str(taken), str(folder))

    try:
        yield
    except UsageError as error:
        mistakes = [
            Mistake(renamed(each.where), renamed(each.message), each.hint)
            for each in error.mistakes
        ]
        raise UsageError(mistakes) from error
    except IntegrityError as error:
        raise IntegrityError(renamed(str(error))) from error


def _opened(artifact: Artifact, registry: Registry, tasks: Sequence[str]) -> Predictor:
    refuse_missing_needs(artifact.folder, artifact.manifest.needs)
    entry = _task_of(artifact, registry, tasks)
    options = _checked_options(artifact, entry.cls)
    task = entry.cls(options)
    engine = engine_for(registry, artifact.traits.format)
    with explain_missing_package(entry):
        processor = task.processor(artifact.folder)
    with explain_missing_package(registry.engines[engine.name]):
        placement = Placement(engine.devices()[0], threads())
        if needs_torch(engine.packages):
            register_models(registry, model_types([artifact.folder]))
        session = open_session(engine, artifact, placement, task)
    mistake = task.processor_mistake(processor)
    if mistake:
        raise UsageError(f"{artifact.folder}: {mistake}")
    return Predictor(artifact, task, processor, session)


def _chosen_task(word: str, registry: Registry) -> str:
    """The name of the installed task that a user calls ``word``."""
    entry = registry.task_named(word)
    if entry is None:
        raise UsageError(
            with_hint(f"there is no task {word!r}", suggestion(word, sorted(registry.tasks)))
        )
    return entry.name


def _task_of(artifact: Artifact, registry: Registry, tasks: Sequence[str]) -> Registered[Task[Any]]:
    """The task that answers with an artifact: the one that its head serves, which must be the one
    in ``tasks``, if there is one."""
    folder, served = artifact.folder, artifact.traits.task
    if tasks and served != tasks[0]:
        raise UsageError(f"{folder} serves {served or 'no task'}, and not {tasks[0]}")
    entry = registry.tasks.get(served or "")
    if entry is not None:
        return entry
    able = head_tasks(read_config(folder), registry) if (folder / "config.json").is_file() else []
    if len(able) > 1:
        raise UsageError(
            f"the head of {folder} may serve {' or '.join(able)}: choose one with --task, or with "
            "task in Python"
        )
    raise UsageError(f"{folder} serves no task that is installed ({served or 'it has no head'})")


def _checked_options(artifact: Artifact, cls: type[Task[Any]]) -> TaskOptions:
    """The options of the artifact's task. Raises IntegrityError if its manifest has none that fit
    the task."""
    try:
        return cls.Options.model_validate(_task_options(artifact, cls), strict=False)
    except ValidationError as error:
        raise IntegrityError(
            f"{artifact.folder}: the options of its task do not fit: {first_problem(error)}"
        ) from error


def _task_options(artifact: Artifact, cls: type[Task[Any]]) -> JsonObject:
    """The task's options that the model was made with. For a model from outside they are the
    defaults, fitted to the model's config.

    Raises UsageError if its config states another kind of head than the defaults."""
    if artifact.manifest.task_options:
        return artifact.manifest.task_options
    config, options = read_config(artifact.folder), cls.Options()
    unfit = cls(options).head_mistake(config, [])
    if unfit:
        raise UsageError(
            f"the head of {artifact.folder} {unfit}: a model that no recipe has made is answered "
            "with its task's default options; make a step of it in a recipe that states the task's "
            "options"
        )
    fitted: JsonObject = options.fitted(config).model_dump(mode="json")
    return fitted
