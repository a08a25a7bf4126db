"""When a sample is taken: rounds of turns, in blocks.

Timings on one machine drift: the clock of a processor changes, its caches fill, other programs run.
A side that is timed as a whole after another would carry such a change as if it were its own speed.
So the sides take turns, one sample each in a round, and each round gives a pair of samples that met
the same machine.

Some of a side's speed does not change from round to round: where its weights lie in memory, how its
process was laid out. Rounds alone would never average that out, and an interval from them would be
too narrow. So after each block of rounds every side loads its artifact anew, or gets a new process
(``Rounds.fresh``), and meters draw their intervals from blocks first, then from rounds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from compress.measure.sides import Sides
from compress.meter import Meter, Rounds, Sample

SamplesBySide = dict[str, list[Sample]]
Pairs = Mapping[str, Sequence[str]]
"""The sides to compare: the names of the others by a side's name."""


def take_turns(
    meter: Meter, rounds: Rounds, sides: Sides, names: Sequence[str], pairs: Pairs
) -> SamplesBySide:
    """Samples of the sides in ``names``, one of each in a round; ``samples[name][i]`` is of round i
    and says its ``block``.

    Rounds end when the comparisons of all ``pairs`` are narrow enough, or the time is over."""
    samples: SamplesBySide = {name: [] for name in names}
    start, size = time.monotonic(), rounds.block or rounds.most
    for number in range(rounds.most):
        block = number // size
        order = _order(names, block)
        if number % size == 0:
            _begin_block(block, order, meter, rounds, sides)
        for name in order:
            sample = sides.sample(name, meter.name)
            samples[name].append({**sample, "block": block})
        if number + 1 < rounds.least:
            continue
        if time.monotonic() - start > rounds.seconds or _narrow(meter, samples, pairs, rounds):
            break
    return samples


def _order(names: Sequence[str], block: int) -> list[str]:
    """The order of turns in a block: A B in the even ones, B A in the odd ones.

    With one order throughout, what the first side leaves behind would always meet the second. No
    side follows itself, except one alone: it would find its caches warm."""
    return list(names) if block % 2 == 0 else list(reversed(names))


def _begin_block(
    block: int, order: Sequence[str], meter: Meter, rounds: Rounds, sides: Sides
) -> None:
    """Load every side anew, except in the first block, and warm it up.

    Sides are warmed up in the order of their turns, so that equally many other calls lie between
    the warming of each and its first sample."""
    if block > 0 and rounds.fresh:
        sides.restart()
    for name in order:
        if block > 0 and not rounds.fresh:
            sides.reopen(name)
        sides.prepare(name, meter.name)


def _narrow(meter: Meter, samples: SamplesBySide, pairs: Pairs, rounds: Rounds) -> bool:
    """Whether the interval of every comparison is narrow enough. True if there are no pairs."""
    for name, others in pairs.items():
        for other in others:
            # Not ">": a width that is not a number is not narrow.
            if not meter.half_width(samples[name], samples[other]) <= rounds.width:
                return False
    return True
