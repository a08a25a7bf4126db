"""The Python interface: ``plan``, ``run``, ``load`` and ``diff``, the same that the command line
uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from compress.errors import EnvironmentFailure, UsageError, suggestion, with_hint
from compress.planning import Plan, make_plan
from compress.pretrained.families import Families
from compress.recipes.recipe import read_recipe
from compress.recipes.shipped import find_recipe
from compress.registry.plugins import Registry, load_plugins
from compress.report.diff.compare import compare_folders
from compress.results.report import Report
from compress.running.families import known_families
from compress.running.runner import Runner
from compress.serving import Predictor, open_predictor
from compress.store.runfolder import RunFolder
from compress.store.store import Store
from compress.tracker import Tracker, Tracking

Listener = Callable[[dict[str, Any]], None]


def plan(recipe: str | Path, overrides: str | Sequence[str] = ()) -> Plan:
    """The plan of a recipe file (or a shipped recipe's name), with one ``a.b=c`` override or
    several. Raises UsageError."""
    return load_plan(str(recipe), overrides, load_plugins(), known_families(Store.default()))


def run(
    recipe: str | Path,
    overrides: str | Sequence[str] = (),
    *,
    store: str | Path | None = None,
    runs: str | Path = "runs",
    listener: Listener | None = None,
    trackers: str | Sequence[str] = (),
) -> dict[str, Any]:
    """The report of a recipe's run; ``folder`` in it is the run's folder; ``overrides`` are one or
    several, as in ``plan``; ``trackers`` names one tracker or several that log it. Raises
    CompressError."""
    registry, folder = load_plugins(), Path(store) if store else None
    families = known_families(open_store(folder))
    report = run_plan(
        load_plan(str(recipe), overrides, registry, families),
        registry,
        store=folder,
        runs=Path(runs),
        listener=listener or (lambda event: None),
        trackers=trackers,
    )
    return report.model_dump(mode="json")


def load(folder: str | Path) -> Predictor:
    """A predictor for a model folder of any format: call it with texts. Where it has a manifest,
    its files are verified first. Raises CompressError."""
    return open_predictor(Path(folder), load_plugins())


def diff(first: str | Path, second: str | Path, registry: Registry | None = None) -> dict[str, Any]:
    """What differs between two runs' folders, step by step, with significance; changes are from the
    first to the second.

    Raises UsageError for a folder that is no run's, IntegrityError where a file of it is broken."""
    meters = {name: entry.cls() for name, entry in (registry or load_plugins()).meters.items()}
    return compare_folders(Path(first), Path(second), meters).model_dump(mode="json")


def load_plan(
    word: str, overrides: str | Sequence[str], registry: Registry, families: Families
) -> Plan:
    """The plan of a recipe file or shipped recipe, made with ``registry`` and ``families``."""
    path, given = find_recipe(word), _words(overrides, "overrides", "data.train=x.csv")
    recipe = read_recipe(path, given)
    made = make_plan(recipe, registry, families)
    return replace(made, recipe_text=path.read_text(encoding="utf-8"), overrides=given)


def _words(given: object, name: str, example: str) -> tuple[str, ...]:
    """One word or several as a tuple. Raises UsageError for what is neither."""
    words = (given,) if isinstance(given, str) else given
    if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise UsageError(f"{name} are texts such as {example!r}, got {given!r}")
    return tuple(words)


def run_plan(
    made: Plan,
    registry: Registry,
    *,
    store: Path | None,
    runs: Path,
    listener: Listener,
    trackers: str | Sequence[str] = (),
) -> Report:
    """The report of running ``made``, with the run's folder as ``folder``; written also when a step
    fails."""
    tracking = Tracking(open_trackers(trackers, registry), listener)
    folder = RunFolder.of(made, runs)
    runner = Runner(made, registry, open_store(store), folder, tracking.event)
    tracking.start(folder.root, made.name)
    try:
        report = runner.run()
    except BaseException as error:
        known = runner.known(*runner.ended_by(error))
        tracking.finish(known.model_dump(mode="json"))
        raise
    tracking.finish(report.model_dump(mode="json"))
    return report.model_copy(update={"folder": str(folder.root)})


def open_trackers(names: str | Sequence[str], registry: Registry) -> list[Tracker]:
    """A tracker for each name, once. Raises UsageError for an unknown one, EnvironmentFailure where
    a package is missing."""
    return [
        _open_tracker(name, registry)
        for name in dict.fromkeys(_words(names, "trackers", "tensorboard"))
    ]


def _open_tracker(name: str, registry: Registry) -> Tracker:
    entry = registry.trackers.get(name)
    if entry is None:
        hint = registry.clashes.get(("trackers", name)) or suggestion(name, registry.trackers)
        raise UsageError(with_hint(f"there is no tracker {name!r}", hint))
    missing = next((package for package in entry.cls.packages if not _installed(package)), None)
    if missing:
        extra = f": install compress-toolkit[{entry.cls.extra}]" if entry.cls.extra else ""
        raise EnvironmentFailure(f"tracker {name} needs the package {missing!r}{extra}")
    return entry.cls()


def _installed(package: str) -> bool:
    found = find_spec(package)
    return (
        found is not None and found.origin is not None
    )  # a folder of that name, as of logs, has no origin


def open_store(folder: Path | None) -> Store:
    """The store in ``folder``, else the default one."""
    return Store(folder.resolve()) if folder else Store.default()
