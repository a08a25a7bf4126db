"""Meters: each knows how to take one sample in a measuring process and how to turn samples into
measurements.

The instrument alone decides when a sample is taken, so that several artifacts can take turns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from compress.artifact import Artifact
from compress.engine import Engine, Placement, Session
from compress.measurement import Measurement
from compress.processor import TextProcessor
from compress.task import Features, Row, Task

Sample = dict[str, Any]
Effort = Literal["quick", "standard", "thorough"]
"""How much a run spends on measuring: ``quick`` to try a recipe, ``standard``, ``thorough`` adds
curves."""

EFFORTS: tuple[Effort, ...] = ("quick", "standard", "thorough")


@dataclass(frozen=True)
class Rounds:
    """How many samples are taken of a side: ``least``, then on until the relative half-width of
    every comparison's 95 % interval is at most ``width``, ``most`` are taken, or ``seconds`` are
    over.

    After each ``block`` of samples all sides load their artifacts anew (0: never): where weights
    lie in memory, and what the machine does for seconds at a time, is part of what must be
    averaged. A sample's ``block`` says in which it was taken. ``fresh``: a block's sides are
    processes of its own, for some of what makes a side slow stays as long as its process."""

    least: int = 1
    most: int = 1
    width: float = 0.0
    seconds: float = 0.0
    block: int = 0
    fresh: bool = False


@dataclass
class Probe:
    """What a meter sees inside the measuring process, where one artifact is loaded in its engine.

    ``rows`` and ``features`` are the test split in order (empty where the recipe has no data for
    the task); ``host_memory`` holds resident bytes: ``before_load``, and ``peak_before_load`` where
    the system says (else None); ``state`` is the meters' own, between samples; ``runtime`` is the
    engine that opened the session, where one did.
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
    host_memory: Mapping[str, int | None]
    load_seconds: float
    effort: Effort = "standard"
    seed: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    runtime: Engine | None = None


class Meter(ABC):
    """One kind of measurement.

    ``efforts`` are those in which it works. ``takes_turns`` says that samples are timings, taken in
    alternation with other artifacts'; ``keeps`` that the samples are kept, so that artifacts
    measured later are compared with them. ``order`` sorts meters (a cold first call comes
    first)."""

    name: ClassVar[str]
    summary: ClassVar[str]
    efforts: ClassVar[tuple[Effort, ...]] = EFFORTS
    takes_turns: ClassVar[bool] = False
    keeps: ClassVar[bool] = False
    order: ClassVar[int] = 50

    def rounds(self, effort: Effort) -> Rounds:
        """How many samples are taken of each side."""
        return Rounds()

    def half_width(self, samples: Sequence[Sample], others: Sequence[Sample]) -> float:
        """Half the width of the comparison's 95 % interval, as a share of its value. Asked after
        the least rounds, where ``takes_turns``."""
        return 0.0

    def prepare(self, probe: Probe) -> None:
        """Warm up; called once before the first sample."""

    @abstractmethod
    def sample(self, probe: Probe) -> Sample:
        """One sample, JSON-ready, taken in the measuring process."""

    @abstractmethod
    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """Measurements from one artifact's samples. Runs in the supervisor: no torch."""

    def compare(self, samples: Sequence[Sample], others: Sequence[Sample]) -> list[Measurement]:
        """An artifact against another: from samples taken in alternation (round i beside round i)
        where ``takes_turns``, from the other's kept samples where ``keeps``. Runs in the
        supervisor: no torch."""
        return []

    def inherit(
        self, own: Sequence[Measurement], parent: Mapping[str, Measurement], name: str
    ) -> list[Measurement]:
        """``own`` measurements, with those that cannot be taken of this artifact filled in from its
        ``parent`` called ``name`` where they must be equal, and labelled so. By default nothing
        is."""
        return list(own)
