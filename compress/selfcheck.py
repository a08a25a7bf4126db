"""Whether this machine can measure: the ratio of a model to itself must be 1.00, and a copy that is
slowed on purpose must show as slower."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from compress.artifact import Artifact
from compress.errors import EnvironmentFailure, UsageError
from compress.measure import Subject, compare
from compress.measurement import Measured
from compress.planning import Plan, load_plan
from compress.registry.plugins import Registry
from compress.running.events import Events
from compress.running.families import known_families
from compress.running.making import Products
from compress.running.runner import run_plan
from compress.store.runfolder import RunFolder
from compress.store.store import Store
from compress.tracker import Listener
from compress.workers.protocol import Chosen

RECIPE = "self-check"
SLOWDOWN = 0.03
"""The share by which each call of the slowed side takes longer."""

WITHIN = 0.02
"""How far from the truth a ratio may be on a machine that can measure, and how wide half of its
interval."""

_SIDES = {"model": 0.0, "again": 0.0, "slowed": SLOWDOWN}


@dataclass(frozen=True)
class Reading:
    """A measured ratio with its 95 % interval, and whether it is as it must be."""

    value: float
    low: float
    high: float
    rounds: int | None
    ok: bool


@dataclass(frozen=True)
class SelfCheck:
    """The ratios, by name, of a model to itself (``same``) and of the slowed model to it
    (``slowed``); ``ok`` where all are as they must be."""

    slowdown: float
    within: float
    same: Mapping[str, Reading]
    slowed: Mapping[str, Reading]
    ok: bool


def model_to_check(
    registry: Registry, store: Store, runs: Path, listener: Listener
) -> tuple[Plan, Path]:
    """The shipped recipe's plan, and the folder of the model that it makes."""
    plan = load_plan(RECIPE, (), registry, known_families(store))
    # What the model answers does not matter: it is made without being measured.
    unmeasured = replace(registry, meters={})
    report = run_plan(plan, unmeasured, store=store, runs=runs, listener=listener)
    return plan, Path(report.folder) / report.steps[-1].folder


def self_check(
    folder: Path, plan: Plan, registry: Registry, store: Store, runs: Path, listener: Listener
) -> SelfCheck:
    """The ratios that this machine measures for the model in ``folder``: to itself, and slowed to
    itself.

    ``plan`` gives the task and the test split. Three processes hold the same model and take turns
    at effort ``standard``, whatever effort the recipe has. Raises EnvironmentFailure where nothing
    was timed."""
    if plan.data is None:
        raise UsageError(f"{plan.name} has no data to measure on; give it data:")
    run = RunFolder.of(plan, runs)
    events = Events(run, listener)
    data = Products(registry, store, run, events.pass_on).prepared(plan.data, plan.task)
    Artifact.open(folder)  # raises for a folder that compress did not make, or that was changed
    subjects = [
        Subject(name, folder, Chosen.of(plan.task), data, slowdown=slowdown)
        for name, slowdown in _SIDES.items()
    ]
    job_folder = run.measuring("self-check")
    measured = compare(subjects, registry, job_folder, "standard", timings_only=True)
    same = _readings(measured["again"], _reads_equal)
    slowed = _readings(measured["slowed"], _reads_slower)
    if not same or not slowed:
        raise EnvironmentFailure(
            "nothing was timed: no installed meter takes turns, or the recipe has no test split"
        )
    ok = all(reading.ok for reading in (*same.values(), *slowed.values()))
    return SelfCheck(SLOWDOWN, WITHIN, same, slowed, ok)


def _readings(
    measured: Measured, as_it_must: Callable[[float, float, float], bool]
) -> dict[str, Reading]:
    """The ratios of one side to the model, by name."""
    readings = {}
    for name, ratio in measured.comparisons["model"].items():
        if ratio.value is not None and ratio.low is not None and ratio.high is not None:
            ok = as_it_must(ratio.value, ratio.low, ratio.high)
            readings[name] = Reading(ratio.value, ratio.low, ratio.high, ratio.n, ok)
    return readings


def _reads_equal(value: float, low: float, high: float) -> bool:
    return abs(value - 1) <= WITHIN and (high - low) / 2 <= WITHIN


def _reads_slower(value: float, low: float, high: float) -> bool:
    return high < 1 and abs(value - 1 / (1 + SLOWDOWN)) <= WITHIN
