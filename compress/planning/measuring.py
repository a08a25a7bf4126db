"""What measuring will take, before a run."""

from __future__ import annotations

from typing import Any

from compress.meter import Effort
from compress.registry.plugins import Registry
from compress.task import Task


def timing_seconds(registry: Registry, effort: Effort, task: type[Task[Any]]) -> float:
    """Seconds after which the timings of one artifact of a task end, whatever their precision; 0
    where they have a number of rounds and no time limit, as in a quick run.

    A round that has begun is finished, and loads and answers come on top."""
    timed = [entry.cls for entry in registry.meters.values() if entry.cls.takes_turns]
    meters = [meter() for meter in timed if effort in meter.efforts]
    return sum(meter.rounds(effort).seconds for meter in meters if meter.measures(task))


def measuring_text(
    registry: Registry, effort: Effort, artifacts: int, task: type[Task[Any]]
) -> str:
    """One line on what measuring ``artifacts`` of a task at an effort will take."""
    most = timing_seconds(registry, effort, task)
    timings = f"timings of up to {most:.0f} s each" if most else "a few rounds of timings each"
    models = "1 model" if artifacts == 1 else f"{artifacts} models"
    return f"{models} at effort {effort}, {timings}, and all answers to the test split"
