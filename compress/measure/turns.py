"""When a sample is taken: rounds of turns, in blocks.

Timings on one machine drift: the clock of a processor changes, its caches fill, other programs run.
A side that is timed as a whole after another would carry such a change as if it were its own speed.
So the sides take turns, one sample each in a round, and each round gives a pair of samples that met
the same machine.

Some of a side's speed does not change from round to round: where its weights lie in memory, how its
process was laid out. Rounds alone would never average that out, and an interval from them would be
too narrow. So in each block of rounds every side answers with another load of its artifact, or in a
new process (``Rounds.fresh``), and meters draw their intervals from blocks first, then from rounds.
Block i has load i of each side, whatever the meter: a process that holds it need not load again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from compress.measure.guarded import GuardedMeter, MeterFailed, Taken
from compress.measure.sides import Sides
from compress.meter import Rounds, Sample

Pairs = Mapping[str, Sequence[str]]
"""The sides to compare: the names of the others by a side's name."""


def take_turns(
    meter: GuardedMeter, rounds: Rounds, sides: Sides, names: Sequence[str], pairs: Pairs
) -> Taken:
    """Samples of the sides in ``names``, one of each in a round; sample i of a side is of round i
    and says its ``block``.

    Rounds end when the comparisons of all ``pairs`` are narrow enough, or the time is over
    (``Rounds``). A side on which the meter fails takes no more turns, and has no samples."""
    taking = _Taking(meter, sides, names)
    start, size = time.monotonic(), rounds.block or rounds.most
    for number in range(rounds.most):
        block = number // size
        if number % size == 0:
            taking.begin_block(block, rounds)
        taking.take_round(block)
        seconds = time.monotonic() - start
        if number + 1 < rounds.least:
            if number + 1 >= rounds.fewest and seconds > rounds.ceiling:
                break
            continue
        if seconds > rounds.seconds or taking.is_narrow(pairs, rounds):
            break
    return Taken({side: taking.samples[side] for side in taking.names}, taking.failures)


class _Taking:
    """The samples of one meter while they are taken. ``names`` are the sides on which it has not
    failed."""

    def __init__(self, meter: GuardedMeter, sides: Sides, names: Sequence[str]) -> None:
        self.names, self._meter, self._sides = list(names), meter, sides
        self.samples: dict[str, list[Sample]] = {name: [] for name in names}
        self.failures: dict[str, str] = {}

    def begin_block(self, block: int, rounds: Rounds) -> None:
        """Have every side answer with a load of this block, and warm it up.

        Sides are warmed up in the order of their turns, so that equally many other calls lie
        between the warming of each and its first sample."""
        if block > 0 and rounds.fresh:
            self._sides.restart()
        for name in self._order(block):
            if rounds.block and not rounds.fresh:
                self._sides.use_load(name, block)
            with self._failing(name):
                self._sides.prepare(name, self._meter.name)

    def take_round(self, block: int) -> None:
        """Take a sample of every side."""
        for name in self._order(block):
            with self._failing(name):
                sample = self._sides.sample(name, self._meter.name)
                self.samples[name].append({**sample, "block": block})

    def is_narrow(self, pairs: Pairs, rounds: Rounds) -> bool:
        """Whether the interval of every comparison is narrow enough. True if there are no pairs."""
        for name, others in pairs.items():
            for other in others:
                with self._failing(name, other):
                    if not self._is_pair_narrow(name, other, rounds.width):
                        return False
        return True

    def _is_pair_narrow(self, name: str, other: str, width: float) -> bool:
        if not {name, other} <= set(self.names):
            return True
        # Not ">": a width that is not a number is not narrow.
        return self._meter.half_width(self.samples[name], self.samples[other]) <= width

    def _order(self, block: int) -> list[str]:
        """The order of turns in a block: A B in the even ones, B A in the odd ones.

        With one order throughout, what the first side leaves behind would always meet the second.
        No side follows itself, except one alone: it would find its caches warm."""
        return list(self.names) if block % 2 == 0 else list(reversed(self.names))

    @contextmanager
    def _failing(self, *names: str) -> Iterator[None]:
        """Drop the sides ``names`` if the meter fails in the block."""
        try:
            yield
        except MeterFailed as failure:
            for name in names:
                self.failures[name] = str(failure)
            self.names = [name for name in self.names if name not in names]
