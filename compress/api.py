"""The Python interface: ``plan``, ``run`` and ``load``, the same that the command line uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from compress.planning import Plan, make_plan
from compress.plugins import Registry, load_plugins
from compress.recipe import read_recipe
from compress.runfolder import RunFolder
from compress.runner import Runner
from compress.serving import Predictor, open_predictor
from compress.shipped import find_recipe
from compress.store import Store

Listener = Callable[[dict[str, Any]], None]


def plan(recipe: str | Path, overrides: Sequence[str] = ()) -> Plan:
    """The plan of a recipe file (or a shipped recipe's name), with ``a.b=c`` overrides. Raises UsageError."""
    return load_plan(str(recipe), overrides, load_plugins())


def run(recipe: str | Path, overrides: Sequence[str] = (), *, store: str | Path | None = None,
        runs: str | Path = "runs", listener: Listener | None = None) -> dict[str, Any]:
    """The report of a recipe's run; ``folder`` in it is the run's folder. Raises CompressError."""
    registry = load_plugins()
    return run_plan(load_plan(str(recipe), overrides, registry), registry, store=Path(store) if store else None,
                    runs=Path(runs), listener=listener or (lambda event: None))


def load(folder: str | Path) -> Predictor:
    """A predictor for a model folder of any format: call it with texts. Its files are verified first."""
    return open_predictor(Path(folder), load_plugins())


def load_plan(word: str, overrides: Sequence[str], registry: Registry) -> Plan:
    """The plan of a recipe file or shipped recipe, made with ``registry``."""
    path = find_recipe(word)
    recipe = read_recipe(path, overrides)
    made = make_plan(recipe, registry)
    return replace(made, recipe_text=path.read_text(encoding="utf-8"), overrides=tuple(overrides))


def run_plan(made: Plan, registry: Registry, *, store: Path | None, runs: Path, listener: Listener) -> dict[str, Any]:
    """The report of running ``made``, with the run's folder as ``folder``; written also when a step fails."""
    folder = RunFolder.of(made, runs)
    return {**Runner(made, registry, open_store(store), folder, listener).run(), "folder": str(folder.root)}


def open_store(folder: Path | None) -> Store:
    """The store in ``folder``, else the default one."""
    return Store(folder.resolve()) if folder else Store.default()
