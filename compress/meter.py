"""Meters: each knows how to take one sample in a measuring process and how to turn samples into measurements.

The instrument alone decides when a sample is taken, so that several artifacts can take turns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from compress.artifact import Artifact
from compress.engine import Placement, Session
from compress.measurement import Measurement
from compress.processor import TextProcessor
from compress.task import Features, Row, Task

Sample = dict[str, Any]


@dataclass
class Probe:
    """What a meter sees inside the measuring process, where one artifact is loaded in its engine.

    ``rows`` and ``features`` are the test split in order (empty where the recipe has no data for the task);
    ``host_memory`` holds resident bytes: ``before_load``, ``after_load``; ``state`` is the meter's own, between samples.
    """

    artifact: Artifact
    engine: str
    session: Session
    placement: Placement
    task: Task[Any]
    processor: TextProcessor
    rows: Sequence[Row]
    labels: Sequence[str]
    features: Sequence[Features]
    host_memory: Mapping[str, int]
    load_seconds: float
    seed: int = 0
    state: dict[str, Any] = field(default_factory=dict)


class Meter(ABC):
    """One kind of measurement. ``rounds`` is how many samples the instrument asks for; ``takes_turns`` says that samples
    are timings, taken in alternation with other artifacts'; ``order`` sorts meters (a cold first call comes first)."""

    name: ClassVar[str]
    summary: ClassVar[str]
    rounds: ClassVar[int] = 1
    takes_turns: ClassVar[bool] = False
    order: ClassVar[int] = 50

    def prepare(self, probe: Probe) -> None:
        """Warm up; called once before the first sample."""

    @abstractmethod
    def sample(self, probe: Probe) -> Sample:
        """One sample, JSON-ready, taken in the measuring process."""

    @abstractmethod
    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """Measurements from one artifact's samples. Runs in the supervisor: no torch."""

    def compare(self, samples: Sequence[Sample], others: Sequence[Sample]) -> list[Measurement]:
        """Ratios of an artifact to another from samples taken in alternation (round i beside round i)."""
        return []
