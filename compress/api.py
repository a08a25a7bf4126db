"""The Python interface: ``plan``, ``run``, ``load`` and ``diff``. They do what the commands
``plan``, ``run``, ``predict`` and ``diff`` do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compress.errors import UsageError
from compress.measure.guarded import GuardedMeter
from compress.planning import Plan, load_plan
from compress.predictor import Predictor
from compress.registry.plugins import Registry, load_plugins
from compress.report.diff.compare import compare_folders
from compress.running.families import known_families
from compress.running.runner import run_plan
from compress.serving import open_predictor
from compress.store.store import open_store
from compress.tracker import Listener


def plan(recipe: str | Path, overrides: str | Sequence[str] = ()) -> Plan:
    """The plan of a recipe file (or a shipped recipe's name), with one ``a.b=c`` override or
    several. Raises UsageError."""
    families = known_families(open_store(None))
    return load_plan(str(recipe), _override_words(overrides), load_plugins(), families)


def run(
    recipe: str | Path,
    overrides: str | Sequence[str] = (),
    *,
    store: str | Path | None = None,
    runs: str | Path = "runs",
    listener: Listener | None = None,
    trackers: str | Sequence[str] = (),
) -> dict[str, Any]:
    """The report of a recipe's run; ``folder`` in it is the run's folder. Raises CompressError.

    ``overrides`` are one or several, as in ``plan``; ``trackers`` names one tracker or several that
    log the run; ``listener`` is called with each event."""
    registry, product_store = load_plugins(), open_store(Path(store) if store else None)
    families = known_families(product_store)
    report = run_plan(
        load_plan(str(recipe), _override_words(overrides), registry, families),
        registry,
        store=product_store,
        runs=Path(runs),
        listener=listener or (lambda event: None),
        trackers=_words(trackers, "trackers", "tensorboard"),
    )
    return report.model_dump(mode="json")


def load(folder: str | Path, task: str | None = None) -> Predictor:
    """A predictor for a model folder of any format: call it with texts. Where it has a manifest,
    its files are verified first. ``task`` chooses among several installed tasks for such a head.
    Raises CompressError."""
    return open_predictor(Path(folder), load_plugins(), task)


def diff(first: str | Path, second: str | Path, registry: Registry | None = None) -> dict[str, Any]:
    """The differences between two runs, step by step, with significance; changes are from the first
    to the second.

    Raises UsageError for a folder that is not a run's, IntegrityError where a file of it is
    broken."""
    meters = GuardedMeter.all_of(registry or load_plugins())
    return compare_folders(Path(first), Path(second), meters).model_dump(mode="json")


def _override_words(given: object) -> tuple[str, ...]:
    return _words(given, "overrides", "data.train=x.csv")


def _words(given: object, name: str, example: str) -> tuple[str, ...]:
    """One word or several as a tuple. Raises UsageError for anything else."""
    words = (given,) if isinstance(given, str) else given
    if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise UsageError(f"{name} are texts such as {example!r}, got {given!r}")
    return tuple(words)
