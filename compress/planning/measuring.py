"""What measuring will take, before a run."""

from __future__ import annotations

from compress.meter import Effort
from compress.registry.plugins import Registry


def timing_seconds(registry: Registry, effort: Effort) -> float:
    """Seconds after which the timings of one artifact end, whatever their precision; 0 where they
    have a number of rounds and no time limit, as in a quick run.

    A round that has begun is finished, and loads and answers come on top."""
    meters = [entry.cls for entry in registry.meters.values() if entry.cls.takes_turns]
    return sum(meter().rounds(effort).seconds for meter in meters if effort in meter.efforts)


def measuring_text(registry: Registry, effort: Effort, artifacts: int) -> str:
    """One line on what measuring ``artifacts`` at an effort will take."""
    most = timing_seconds(registry, effort)
    timings = f"timings of up to {most:.0f} s each" if most else "a few rounds of timings each"
    models = "1 model" if artifacts == 1 else f"{artifacts} models"
    return f"{models} at effort {effort}, {timings}, and all answers to the test split"
