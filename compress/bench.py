"""Measuring model folders side by side: a run whose plan has models and no steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from compress.errors import UsageError
from compress.modelfolder import folder_traits
from compress.planning import Input, Plan
from compress.plugins import Registry
from compress.runfolder import RunFolder
from compress.runner import Runner
from compress.store import Store


def bench(folders: Sequence[Path], plan: Plan, registry: Registry, store: Store, runs: Path,
          listener: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """The report of measuring ``folders`` on the task and test split of ``plan``; the first folder is the reference.

    Raises UsageError for a folder whose model does not serve the task."""
    if plan.data is None:
        raise UsageError(f"{plan.name} has no data to measure on; give it data:")
    inputs = [_input(folder, name, plan, registry) for folder, name in zip(folders, _names(folders), strict=True)]
    benched = replace(plan, name=f"bench-{plan.name}", inputs=inputs, steps=[], fresh=None, reference=inputs[0].name,
                      overrides=(*plan.overrides, *(str(folder.resolve()) for folder in folders)))
    folder = RunFolder.of(benched, runs)
    return {**Runner(benched, registry, store, folder, listener).run(), "folder": str(folder.root)}


def _input(folder: Path, name: str, plan: Plan, registry: Registry) -> Input:
    traits = folder_traits(folder, registry)
    if traits.task != plan.task.name:
        raise UsageError(f"{folder} serves {traits.task or 'no task'}, and {plan.name} is for {plan.task.name}")
    return Input(name, str(folder.resolve()), False, traits, str(folder))


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names where these differ, else their paths with slashes replaced."""
    names = [folder.name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder).strip("/").replace("/", "-") for folder in folders]
