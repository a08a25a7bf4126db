"""What else the machine does while timings are taken. Nothing is read while a sample is taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from compress.activity import CoreSeconds, OtherWork, core_seconds
from compress.machine import cores
from compress.measure.sides import Sides


class Watch:
    """Adds up what others did during the blocks that it watches."""

    def __init__(self) -> None:
        self._worked = self._stolen = self._own = self._seconds = 0.0
        self._cores, self._clocks = 0, list[float]()

    @contextmanager
    def watching(self, sides: Sides) -> Iterator[None]:
        """Watch the machine during the block."""
        begin, own, first = core_seconds(cores()), sides.worked_seconds(), len(sides.clocks)
        yield
        end = core_seconds(cores())
        self._clocks += sides.clocks[first:]
        if begin is not None and end is not None:
            self._cores = end.cores
            self._worked += end.worked - begin.worked
            self._stolen += end.stolen - begin.stolen
            self._seconds += end.at - begin.at
            self._own += sides.worked_seconds() - own

    @property
    def disturbance(self) -> str:
        """What disturbed the timings, in words; empty if nothing did."""
        begin = CoreSeconds(self._cores, 0.0, 0.0, 0.0)
        end = CoreSeconds(self._cores, self._worked, self._stolen, self._seconds)
        return OtherWork.between(begin, end, self._own, self._clocks).text()
