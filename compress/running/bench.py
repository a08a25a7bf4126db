"""Measuring model folders side by side: a run whose plan has models and no steps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from compress.errors import CompressError, UsageError
from compress.planning import Input, Plan
from compress.pretrained.modelfolder import folder_traits, is_hub_id
from compress.registry.plugins import Registry
from compress.report.reading import read_report
from compress.results.report import Report
from compress.running.runner import run_in_folder
from compress.running.tracking import Tracking
from compress.store.runfolder import RunFolder
from compress.store.store import Store
from compress.tracker import Listener


def bench(
    models: Sequence[str],
    plan: Plan,
    registry: Registry,
    store: Store,
    runs: Path,
    listener: Listener,
) -> Report:
    """The report of measuring ``models``, folders or hub ids, on the task and test split of
    ``plan``; the first is the reference.

    Raises UsageError for a model that does not serve the task."""
    if plan.data is None:
        raise UsageError(f"{plan.name} has no data to measure on; give it data:")
    names = names_of(models)
    inputs = [_input(models[i], name, plan, registry) for i, name in enumerate(names)]
    benched = replace(
        plan,
        name=f"bench-{plan.name}",
        inputs=inputs,
        steps=[],
        fresh=None,
        budget=None,
        reference=inputs[0].name,
    )
    folder = unfinished_folder(RunFolder.of(benched, runs))
    report = run_in_folder(benched, registry, store, folder, Tracking([], listener))
    for step in report.steps:
        if not step.measurements:
            raise UsageError(_serves_another_task(step.name, step.traits.task, plan))
    return report


def unfinished_folder(folder: RunFolder) -> RunFolder:
    """The folder, or the first one with a number after its name that holds no finished report.

    A bench that is repeated must time again, and one that was interrupted is continued. A folder
    whose report cannot be read is left as it is."""
    name, number = folder.root.name, 1
    while folder.report.is_file() and _is_finished(folder):
        number += 1
        folder = RunFolder(folder.root.with_name(f"{name}-{number}"))
    return folder


def _is_finished(folder: RunFolder) -> bool:
    try:
        return read_report(folder.root).state == "finished"
    except CompressError:
        return True


def _input(model: str, name: str, plan: Plan, registry: Registry) -> Input:
    folder, tasks = Path(model).expanduser(), (plan.task.name,)
    if not folder.is_dir():
        if not is_hub_id(model):
            raise UsageError(f"there is no model folder {model!r}")
        return Input(name, model, True, None, model, tasks)
    traits = folder_traits(folder, registry, tasks)
    if traits.task != plan.task.name:
        raise UsageError(_serves_another_task(str(folder), traits.task, plan))
    return Input(name, str(folder.resolve()), False, traits, str(folder), tasks)


def _serves_another_task(model: str, task: str | None, plan: Plan) -> str:
    return f"{model} serves {task or 'no task'}, and {plan.name} is for {plan.task.name}"


def names_of(models: Sequence[str]) -> list[str]:
    """A name for each model, all different: the last part of its path or hub id. If two of
    these are equal, all names are whole paths with ``-`` for ``/``. Equal paths are numbered."""
    names = [_own_name(model) for model in models]
    if len(set(names)) < len(names):
        names = [_whole_name(model) for model in models]
    different: list[str] = []
    for name in names:
        taken = {*different, *names}
        different.append(_numbered(name, taken) if name in different else name)
    return different


def _numbered(name: str, taken: Collection[str]) -> str:
    """The name with the first number after it that makes it new."""
    numbers = count(2)
    numbered = name
    while numbered in taken:
        numbered = f"{name}-{next(numbers)}"
    return numbered


def _whole_name(model: str) -> str:
    return model.strip("/").replace("/", "-") if Path(model).name else _own_name(model)


def _own_name(model: str) -> str:
    """The last part of a path or hub id. For a path that ends in ``.``, ``..`` or ``/``: the name
    of the folder that it leads to."""
    name = Path(model).name
    return name if name not in ("", "..") else Path(model).resolve().name or "root"
