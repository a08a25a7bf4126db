"""Measuring model folders side by side: a run whose plan has models and no steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from compress.errors import CompressError, UsageError
from compress.planning import Input, Plan
from compress.pretrained.modelfolder import folder_traits, is_hub_id
from compress.registry.plugins import Registry
from compress.report.reading import read_report
from compress.results.report import Report
from compress.running.runner import Runner
from compress.store.runfolder import RunFolder
from compress.store.store import Store


def bench(
    models: Sequence[str],
    plan: Plan,
    registry: Registry,
    store: Store,
    runs: Path,
    listener: Callable[[dict[str, Any]], None],
) -> Report:
    """The report of measuring ``models``, folders or hub ids, on the task and test split of
    ``plan``; the first is the reference.

    Raises UsageError for a model that does not serve the task."""
    if plan.data is None:
        raise UsageError(f"{plan.name} has no data to measure on; give it data:")
    inputs = [
        _input(model, name, plan, registry)
        for model, name in zip(models, names_of(models), strict=True)
    ]
    benched = replace(
        plan,
        name=f"bench-{plan.name}",
        inputs=inputs,
        steps=[],
        fresh=None,
        budget=None,
        reference=inputs[0].name,
    )
    folder = not_finished(RunFolder.of(benched, runs))
    report = Runner(benched, registry, store, folder, listener).run()
    for step in report.steps:
        if not step.measurements:
            raise UsageError(_other_task(step.name, step.traits.task, plan))
    return report.model_copy(update={"folder": str(folder.root)})


def not_finished(folder: RunFolder) -> RunFolder:
    """The folder, or the next of its name with a number that holds no finished report: who benches
    again wants new timings, and one that was cut off is continued. What holds a report that cannot
    be read is left as it is."""
    name, number = folder.root.name, 1
    while folder.report.is_file() and _is_over(folder):
        number += 1
        folder = RunFolder(folder.root.with_name(f"{name}-{number}"))
    return folder


def _is_over(folder: RunFolder) -> bool:
    try:
        return read_report(folder.root).state == "finished"
    except CompressError:
        return True


def _input(model: str, name: str, plan: Plan, registry: Registry) -> Input:
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if not is_hub_id(model):
            raise UsageError(f"there is no model folder {model!r}")
        return Input(name, model, True, None, model)
    traits = folder_traits(folder, registry)
    if traits.task != plan.task.name:
        raise UsageError(_other_task(str(folder), traits.task, plan))
    return Input(name, str(folder.resolve()), False, traits, str(folder))


def _other_task(model: str, task: str | None, plan: Plan) -> str:
    return f"{model} serves {task or 'no task'}, and {plan.name} is for {plan.task.name}"


def names_of(models: Sequence[str]) -> list[str]:
    """The models' own names where these differ, else their paths with slashes replaced; what is
    there twice is numbered, so that all names differ."""
    names = [_own_name(model) for model in models]
    if len(set(names)) < len(names):
        names = [
            model.strip("/").replace("/", "-") if Path(model).name else _own_name(model)
            for model in models
        ]
    found: list[str] = []
    for name in names:
        numbered = (f"{name}-{number}" for number in count(2))
        found.append(
            name if name not in found else next(n for n in numbered if n not in (*found, *names))
        )
    return found


def _own_name(model: str) -> str:
    """The last part of a path or hub id; of a path that ends in none (``.``, ``..``, ``/``) that of
    the folder it leads to."""
    name = Path(model).name
    return name if name not in ("", "..") else Path(model).resolve().name or "root"
