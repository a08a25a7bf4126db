"""Whether this machine can measure: a model against itself must read 1.00, and one slowed on
purpose must be found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from compress.api import load_plan, run_plan
from compress.artifact import Artifact
from compress.errors import EnvironmentFailure, UsageError
from compress.measure import Subject, compare
from compress.measurement import Measured
from compress.planning import Plan
from compress.registry.plugins import Registry
from compress.running.families import known_families
from compress.running.making import Products
from compress.store.runfolder import RunFolder
from compress.store.store import Store
from compress.workers.protocol import Chosen

RECIPE = "self-check"
SLOWDOWN = 0.03
"""The share by which the slowed side's calls are prolonged."""

WITHIN = 0.02
"""How far a ratio may read from what it is, and how wide half its interval may be, for a machine
that can measure."""

Listener = Callable[[dict[str, Any]], None]
_SIDES = {"model": 0.0, "again": 0.0, "slowed": SLOWDOWN}


def model_to_check(
    registry: Registry, store: Store, runs: Path, listener: Listener
) -> tuple[Plan, Path]:
    """The shipped recipe's plan, and the folder of the model that it makes."""
    plan = load_plan(RECIPE, (), registry, known_families(store))
    # What the model answers does not matter: it is made without being measured.
    unmeasured = replace(registry, meters={})
    report = run_plan(plan, unmeasured, store=store.root, runs=runs, listener=listener)
    return plan, Path(report.folder) / report.steps[-1].folder


def self_check(
    folder: Path, plan: Plan, registry: Registry, store: Store, runs: Path, listener: Listener
) -> dict[str, Any]:
    """How the model in ``folder`` reads against itself (``same``) and against itself slowed
    (``slowed``), by ratio: value, low, high, rounds and whether it reads as it must; ``ok`` where
    all do.

    ``plan`` gives the task and the test split. Three processes hold the same model and take turns,
    as many as at effort ``standard``, whatever the recipe says."""
    run = RunFolder.of(plan, runs)
    products = Products(
        registry, store, run, lambda event, **values: listener({"event": event, **values})
    )
    if plan.data is None:
        raise UsageError(f"{plan.name} has no data to measure on; give it data:")
    task, data = Chosen.of(plan.task), products.prepared(plan.data, plan.task)
    Artifact.open(folder)
    subjects = [Subject(name, folder, task, data, share) for name, share in _SIDES.items()]
    found = compare(subjects, registry, run.measuring("self-check"), "standard", timings_only=True)
    _measured(found)
    same, slowed = _read(found["again"], _reads_equal), _read(found["slowed"], _reads_slower)
    return {
        "slowdown": SLOWDOWN,
        "within": WITHIN,
        "same": same,
        "slowed": slowed,
        "ok": all(row["ok"] for row in (*same.values(), *slowed.values())),
    }


def _measured(found: Mapping[str, Measured]) -> None:
    """Raise EnvironmentFailure where no ratio was measured: what is not looked at is not in
    order."""
    for name in ("again", "slowed"):
        if all(m.value is None for m in found[name].comparisons["model"].values()):
            raise EnvironmentFailure(
                "nothing was timed: no installed meter takes turns, or the recipe has no test split"
            )


def _read(
    measured: Measured, as_it_must: Callable[[float, float, float], bool]
) -> dict[str, dict[str, Any]]:
    found = {}
    for name, m in measured.comparisons["model"].items():
        if m.value is not None and m.low is not None and m.high is not None:
            found[name] = {
                "value": m.value,
                "low": m.low,
                "high": m.high,
                "rounds": m.n,
                "ok": as_it_must(m.value, m.low, m.high),
            }
    return found


def _reads_equal(value: float, low: float, high: float) -> bool:
    return abs(value - 1) <= WITHIN and (high - low) / 2 <= WITHIN


def _reads_slower(value: float, low: float, high: float) -> bool:
    return high < 1 and abs(value - 1 / (1 + SLOWDOWN)) <= WITHIN
