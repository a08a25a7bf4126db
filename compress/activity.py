"""What this machine does at the moment: how long its cores worked and for whom, and their clock."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_STAT = Path("/proc/stat")
_CLOCKS = Path("/sys/devices/system/cpu")
_WORK = (0, 1, 2, 5, 6)
"""Columns of /proc/stat in which a core works: user, nice, system, irq, softirq (``man 5 proc``).
User holds the time of guests too."""
_STOLEN = 7
"""The column of the time in which the host of a virtual machine let others work."""
_BUSY_SHARE, _STOLEN_SHARE, _CLOCK_SHARE = 0.1, 0.02, 0.1
"""Shares from which it is said: of the cores' time that other programs took, of the time that the
host took, and by which the clock changed."""


@dataclass(frozen=True)
class CoreSeconds:
    """Seconds since the machine started, summed over ``cores``: in which they ``worked``, and that
    were ``stolen``. ``at`` is when they were read."""

    cores: int
    worked: float
    stolen: float
    at: float


def core_seconds(cores: Sequence[int]) -> CoreSeconds | None:
    """The seconds of these cores; None where the system does not say them. Linux only."""
    try:
        lines = _STAT.read_text(encoding="ascii", errors="replace").splitlines()
        tick = os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return None
    wanted = {f"cpu{core}" for core in cores}
    worked, stolen, found = 0, 0, 0
    for words in (line.split() for line in lines):
        if words and words[0] in wanted:
            ticks = [int(word) for word in words[1:]]
            worked += sum(ticks[column] for column in _WORK)
            stolen += ticks[_STOLEN]
            found += 1
    return CoreSeconds(found, worked / tick, stolen / tick, time.monotonic()) if found else None


def process_seconds(pid: int) -> float:
    """Seconds that the cores worked for a process; 0 if it has ended."""
    with suppress(psutil.Error):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    return 0.0


def clock_mhz() -> float | None:
    """The clock, in MHz, of the first core that this process may use; None where the system does
    not say. Processes that take turns share that core."""
    with suppress(OSError, ValueError, AttributeError):
        core = min(os.sched_getaffinity(0))
        text = (_CLOCKS / f"cpu{core}/cpufreq/scaling_cur_freq").read_text(encoding="ascii")
        return int(text) / 1000
    return None


@dataclass(frozen=True)
class OtherWork:
    """What else the machine did while something was timed.

    - ``others``: cores that other programs kept busy, on average, of ``cores``.
    - ``stolen``: the share of the cores' time that the host of a virtual machine took.
    - ``clocks``: what the clock was, in MHz; empty if the system does not say."""

    cores: int
    others: float = 0.0
    stolen: float = 0.0
    clocks: Sequence[float] = ()

    @classmethod
    def between(
        cls, begin: CoreSeconds | None, end: CoreSeconds | None, own: float, clocks: Sequence[float]
    ) -> OtherWork:
        """What others did from ``begin`` to ``end``, while the cores worked ``own`` seconds for
        this program."""
        if begin is None or end is None or end.at <= begin.at:
            return cls(0, clocks=clocks)
        seconds = end.at - begin.at
        others = max(0.0, end.worked - begin.worked - own) / seconds
        stolen = max(0.0, end.stolen - begin.stolen) / seconds / end.cores
        return cls(end.cores, others, stolen, clocks)

    def text(self) -> str:
        """What would disturb timings, in words; empty if nothing does."""
        words = []
        if self.others > _BUSY_SHARE * self.cores:
            words.append(f"other programs kept {self.others:.1f} of {self.cores} cores busy")
        if self.stolen > _STOLEN_SHARE:
            words.append(f"the host took {100 * self.stolen:.0f} % of the time")
        if self.clocks and min(self.clocks) < (1 - _CLOCK_SHARE) * max(self.clocks):
            words.append(f"the clock was from {min(self.clocks):.0f} to {max(self.clocks):.0f} MHz")
        return ", ".join(words)
