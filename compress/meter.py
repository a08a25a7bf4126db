"""Meters: each takes samples of an artifact in a measuring process, and turns samples into
measurements.

The instrument alone decides when a sample is taken, so that several artifacts can take turns.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

from compress.artifact import Artifact
from compress.engine import Engine, Placement, Session
from compress.featurising import lengths_of
from compress.measurement import Measurement
from compress.predict import parts_of
from compress.task import Features, Row, Task

Sample = dict[str, Any]
Effort = Literal["quick", "standard", "thorough"]
"""How much time a run spends on measuring: ``quick`` is for trying a recipe, ``thorough`` adds
curves."""

EFFORTS: tuple[Effort, ...] = ("quick", "standard", "thorough")


@dataclass(frozen=True)
class Rounds:
    """How many samples are taken of each side.

    At least ``least``. Then on until the 95 % interval of every comparison has a relative
    half-width of at most ``width``, or ``most`` samples are taken, or ``seconds`` are over.

    It ends after ``ceiling`` seconds even if there are fewer than ``least``, once there are the
    ``fewest`` that an interval can be made of: a large model must not take an hour.

    Each ``block`` of samples is taken from another load of all artifacts (0: all from one). Where
    weights lie in memory changes a side's speed, and so does what the machine does for some
    seconds: only an average over several loads is free of both. A sample's ``block`` is the number
    of its block.
    With ``fresh`` each block also has new processes, because some causes of a slow side last as
    long as its process."""

    least: int = 1
    most: int = 1
    width: float = 0.0
    seconds: float = 0.0
    block: int = 0
    fresh: bool = False
    ceiling: float = math.inf

    @property
    def fewest(self) -> int:
        """Samples that are taken whatever they take: two blocks, or two samples."""
        return min(self.least, 2 * self.block or 2)


@dataclass
class Probe:
    """What a meter is given in the measuring process: one artifact, loaded in its engine.

    - ``rows`` and ``features``: the test split in order; empty if the recipe has no data for the
      task. ``parts`` are the places of each row's features.
    - ``host_memory``: resident bytes ``before_load`` and ``peak_before_load``; the peak is None if
      the system does not say it.
    - ``state``: values that meters keep between their samples, for the ``session``. Another load of
      the artifact has others; both come back when its turn comes again.
    - ``runtime``: the engine that opened the session; None if none did.
    """

    artifact: Artifact
    engine: str
    session: Session
    placement: Placement
    task: Task[Any]
    processor: Any
    rows: Sequence[Row]
    labels: Sequence[str]
    features: Sequence[Features]
    host_memory: Mapping[str, int | None]
    load_seconds: float
    effort: Effort = "standard"
    seed: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    runtime: Engine | None = None
    split: str = "test"

    @cached_property
    def parts(self) -> Sequence[Sequence[int]]:
        """For each row the places of its features, in order: one, unless the task cuts rows into
        several parts."""
        return parts_of(self.task, self.features, len(self.rows))

    def length(self, row: int) -> int:
        """The length of a row: the sum of its parts'."""
        return sum(self.lengths[place] for place in self.parts[row])

    @cached_property
    def lengths(self) -> Sequence[int]:
        """The length of each of the features."""
        return lengths_of(self.task, self.features)


class Meter(ABC):
    """One kind of measurement.

    - ``efforts``: the efforts in which it measures.
    - ``takes_turns``: whether samples are timings, which artifacts take in turns.
    - ``keeps``: whether samples are kept, so that artifacts measured later are compared with them.
    - ``order``: meters with a smaller one sample first. A cold first call must come before any
      other call.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    efforts: ClassVar[tuple[Effort, ...]] = EFFORTS
    takes_turns: ClassVar[bool] = False
    keeps: ClassVar[bool] = False
    order: ClassVar[int] = 50

    @classmethod
    def measures(cls, task: type[Task[Any]]) -> bool:
        """Whether there is anything to measure of a model for this task; by default there is. Where
        there is not, no sample is taken and no absence is told."""
        return True

    def rounds(self, effort: Effort) -> Rounds:
        """How many samples are taken of each side; by default one."""
        return Rounds()

    def half_width(self, samples: Sequence[Sample], others: Sequence[Sample]) -> float:
        """Half the width of the comparison's 95 % interval, as a share of its value. Called after
        each round from the least on, if the meter ``takes_turns``."""
        return 0.0

    def prepare(self, probe: Probe) -> None:
        """Warm up. Called before the first sample of each block. The session may have taken samples
        of this meter before: then what it kept is in ``probe.state``."""

    @abstractmethod
    def sample(self, probe: Probe) -> Sample:
        """One sample, as JSON values. Called in the measuring process."""

    @abstractmethod
    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """Measurements from one artifact's samples. Called in the supervisor: no torch."""

    def compare(self, samples: Sequence[Sample], others: Sequence[Sample]) -> list[Measurement]:
        """Comparisons of an artifact with another, whose samples are ``others``. By default none.

        If the meter ``takes_turns``, samples i of both were taken in the same round. If it
        ``keeps``, the others may be samples that were kept. Called in the supervisor: no torch."""
        return []

    def inherit(
        self, own: Sequence[Measurement], parent: Mapping[str, Measurement], name: str
    ) -> list[Measurement]:
        """``own`` measurements, completed by those of the ``parent`` called ``name``.

        For an artifact of which a quantity cannot be measured, but must equal the parent's. Such a
        measurement is labelled as inherited. By default nothing is inherited."""
        return list(own)
