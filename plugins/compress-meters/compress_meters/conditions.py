"""The conditions that a measurement states, and which test examples are timed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from compress.measurement import Conditions
from compress.meter import Probe
from compress.predict import length_batches
from compress.task import Features
from compress_meters.calls import writes


def no_rows(probe: Probe) -> str:
    """Why nothing that needs examples is measured."""
    return f"there is no {probe.split} split for this task"


def conditions(probe: Probe, rows: Sequence[int], batch: int) -> Conditions:
    """Engine, device, threads, batch size (no larger than the number of examples), the
    number of examples and their mean length. ``rows`` are the places of the examples in the test
    split."""
    lengths = [probe.length(row) for row in rows]
    return {
        **run_by(probe),
        "batch": min(batch, len(lengths)),
        "examples": len(lengths),
        "mean_length": _mean(lengths),
    }


def of_parts(probe: Probe, parts: Sequence[Features]) -> Conditions:
    """The mean length of ``parts``, which stand for whole examples."""
    return {"mean_length": _mean([probe.task.length(part) for part in parts])}


def _mean(lengths: Sequence[int]) -> float:
    return round(float(np.mean(lengths)), 1)


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
    generator, total = np.random.default_rng(probe.seed), len(probe.rows)
    return sorted(generator.choice(total, size=min(count, total), replace=False).tolist())


def timed_places(probe: Probe, count: int) -> list[int]:
    """The ``places`` of the examples of a timing: a quarter of them if answers are generated, since
    an answer takes a call for each of its tokens."""
    return places(probe, count // 4 if writes(probe) else count)


def parts_at(probe: Probe, rows: Iterable[int]) -> list[Features]:
    """The features of the test examples at these places: of each one, unless the task cuts it into
    several parts."""
    return [probe.features[place] for row in rows for place in probe.parts[row]]


def first_parts(probe: Probe, rows: Iterable[int]) -> list[Features]:
    """The features of the first part of each test example at these places."""
    return [probe.features[probe.parts[row][0]] for row in rows]


def row_batches(probe: Probe, rows: Sequence[int], size: int) -> list[list[int]]:
    """The places ``rows`` of test examples in batches of near-equal length."""
    first = first_parts(probe, rows)
    return [[rows[i] for i in batch] for batch in length_batches(probe.task, first, size)]
