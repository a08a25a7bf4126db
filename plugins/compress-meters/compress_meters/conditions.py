"""The conditions that a measurement states, and which test examples are timed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compress.measurement import Conditions
from compress.meter import Probe
from compress.task import Features

NO_TEST_ROWS = "there is no test split for this task"


def conditions(probe: Probe, features: Sequence[Features], batch: int) -> Conditions:
    """Engine, device, threads, batch size (no larger than the number of examples), the
    number of examples and their mean length in tokens."""
    lengths = [probe.task.length(f) for f in features]
    return {
        **run_by(probe),
        "batch": min(batch, len(lengths)),
        "examples": len(lengths),
        "mean_length": round(float(np.mean(lengths)), 1),
    }


def run_by(probe: Probe) -> Conditions:
    """Engine, device and threads."""
    return {
        "engine": probe.engine,
        "device": probe.placement.device,
        "threads": probe.placement.threads,
    }


def places(probe: Probe, count: int) -> list[int]:
    """Ascending places of at most ``count`` test examples. They are drawn by the probe's
    seed alone, so that every artifact is timed on the same examples: speed ratios compare
    call i with call i."""
    generator, total = np.random.default_rng(probe.seed), len(probe.features)
    return sorted(generator.choice(total, size=min(count, total), replace=False).tolist())


def chosen(probe: Probe, count: int) -> list[Features]:
    """The features of the test examples at ``places``."""
    return [probe.features[i] for i in places(probe, count)]
