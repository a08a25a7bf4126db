"""The engine that opens toy models, and the meter that reads their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from compress.architecture import Architecture
from compress.artifact import Artifact
from compress.engine import Engine, Placement, Session
from compress.measurement import Measurement
from compress.meter import Meter, Probe, Sample
from compress.task import Task
from compress_stated.model import FORMAT, read

HALF_WIDTH, TO_WORST = 0.02, 0.015
"""From a value to the ends of its interval, and to the end by which a careful budget decides."""


class SilentSession:
    """A loaded toy model. Nothing asks it for answers."""

    inputs: tuple[str, ...] = ("input_ids",)

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Raises: a toy model has no answers."""
        raise NotImplementedError


class Silent(Engine):
    """Opens toy models."""

    name: ClassVar[str] = "toy"
    summary: ClassVar[str] = "Answers nothing."
    formats: ClassVar[tuple[str, ...]] = (FORMAT,)
    packages: ClassVar[tuple[str, ...]] = ()

    def open(self, artifact: Artifact, placement: Placement, task: Task[Any]) -> Session:
        """A session without answers. Raises for a model with the mark ``broken``."""
        if read(artifact).get("mark") == "broken":
            raise ValueError(f"no toy in {artifact.folder}")
        return SilentSession()


class Stated(Meter):
    """Measurements and comparisons of the numbers that a model's file states."""

    name: ClassVar[str] = "stated"
    summary: ClassVar[str] = "What the model's file states."
    keeps: ClassVar[bool] = True

    def sample(self, probe: Probe) -> Sample:
        """The numbers of the model."""
        return read(probe.artifact)

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """``quality`` with an interval and the most frequent answer's beside it, ``latency_p50``,
        ``size`` and ``nonzero``."""
        numbers = samples[0]
        quality = around("quality", numbers["quality"], "", title="quality")
        if "fixed" in numbers:
            gain = numbers["quality"] - numbers["fixed"]
            baseline = {"value": numbers["fixed"], "difference": gain, "low": gain - HALF_WIDTH}
            quality = replace(quality, detail={"baseline": baseline})
        return [
            quality,
            Measurement("latency_p50", numbers["latency"], "ms", "lower", title="latency"),
            Measurement("size", numbers["size"], "bytes", "lower", title="size"),
            Measurement("nonzero", numbers["nonzero"], "share", "neither"),
        ]

    def compare(self, samples: Sequence[Sample], others: Sequence[Sample]) -> list[Measurement]:
        """``quality_kept``, ``speedup``, ``speedup_p50`` and ``flips``."""
        mine, theirs = samples[0], others[0]
        kept = mine["quality"] / (theirs["quality"] or 1.0)
        speed = theirs["latency"] / mine["latency"]
        flips = abs(mine["flips"] - theirs["flips"])
        return [
            around("quality_kept", kept, "share"),
            faster("speedup", speed),
            faster("speedup_p50", speed),
            Measurement("flips", flips, "share", "lower", n=100),
        ]


def around(name: str, value: float, unit: str, title: str = "") -> Measurement:
    """A measurement of 100 examples, higher is better, with an interval around its value."""
    low, high, worst = value - HALF_WIDTH, value + HALF_WIDTH, value - TO_WORST
    return Measurement(name, value, unit, "higher", low, high, 100, title=title, worst=worst)


def faster(name: str, speed: float) -> Measurement:
    """A speedup of 10 rounds, with an interval around its value."""
    low, high, worst = 0.98 * speed, 1.02 * speed, 0.985 * speed
    return Measurement(name, speed, "x", "higher", low, high, 10, worst=worst)


class Family(Architecture):
    """The family ``toy``, for ``model: {type: toy}``."""

    name: ClassVar[str] = "toy"
    summary: ClassVar[str] = "Models whose file states what is measured of them."
    model_types: ClassVar[tuple[str, ...]] = ("toy",)
