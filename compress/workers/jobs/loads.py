"""The loads of an artifact: the sessions that a measuring process has opened of it.

Where weights lie in memory changes a model's speed by up to a percent, so each block of rounds has
a load of its own. A process holds its loads where they fit: the next meter, and the next step that
is compared with this artifact, find them there."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from compress.artifact import Artifact
from compress.engine import Engine, Placement, Session
from compress.generation import Limits, OnToken
from compress.meter import Probe
from compress.session import GeneratingSession, generate
from compress.task import Task
from compress.workers.memory import free_memory

_MOST = 8
"""Loads that a process holds at most. Latency takes 6 at ``standard``."""
_SHARE = 1 / 16
"""The share of the memory that is free which a process's next loads may take."""
_IN_MEMORY = 2
"""Bytes in memory for a byte of the artifact's files: an engine packs weights in its own order."""


class Loads:
    """The loads of a probe's artifact by number, of which the first is 0. One of them answers: the
    probe's session, with the values that meters keep of it (``Probe.state``)."""

    def __init__(self, probe: Probe, slowdown: float) -> None:
        self._probe, self._slowdown = probe, slowdown
        is_alone = probe.placement.device == "cuda"
        self._most = 1 if is_alone else max(1, min(_MOST, self._more()))
        self._held = {0: (probe.session, probe.state)}

    def use(self, number: int) -> None:
        """Have the probe answer with a load. It is made now unless the process holds it."""
        if number not in self._held:
            self._make_room()
            self._held[number] = (self._load(), {})
        self._probe.session, self._probe.state = self._held[number]

    def _make_room(self) -> None:
        """Drop the last loads if there are as many as fit, before the next is made: it might not
        fit beside them. What is free is asked each time, since other processes hold loads too."""
        probe = self._probe
        del probe.session
        probe.state = {}
        most = 1 if self._most == 1 else max(1, min(self._most, len(self._held) + self._more()))
        while len(self._held) >= most:
            self._held.popitem()
        gc.collect()

    def _more(self) -> int:
        """How many loads more fit now."""
        return int(free_memory() * _SHARE / _bytes_of_a_load(self._probe.artifact))

    def _load(self) -> Session:
        probe = self._probe
        assert probe.runtime is not None  # open_probe set it
        return opened(probe.runtime, probe.artifact, probe.placement, probe.task, self._slowdown)


def _bytes_of_a_load(artifact: Artifact) -> int:
    """About what a load takes in memory."""
    files = sum((artifact.folder / name).stat().st_size for name in artifact.manifest.files)
    return _IN_MEMORY * files + 1


def opened(
    engine: Engine, artifact: Artifact, placement: Placement, task: Task[Any], slowdown: float
) -> Session:
    """The artifact, loaded in its engine; its calls take longer by the share ``slowdown``."""
    session: Session = engine.open(artifact, placement, task)
    return Slowed(session, slowdown) if slowdown else session


class Slowed:
    """A session that makes each call of another session longer by a ``share``.

    The self-check uses it: the instrument must find the difference. It waits busily, as work
    would."""

    def __init__(self, session: Session, share: float) -> None:
        self.session, self.share, self.inputs = session, share, session.inputs
        if hasattr(session, "elapsed"):
            self.elapsed = self._elapsed
        if isinstance(session, GeneratingSession):
            self.generate = self._generate

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of the wrapped session, after the wait."""
        start = time.perf_counter()
        outputs = self.session.run(batch)
        self._wait(start)
        return outputs

    def _generate(
        self,
        batch: Mapping[str, np.ndarray],
        limits: Limits,
        on_token: OnToken | None = None,
    ) -> list[list[int]]:
        """The answers of the wrapped session, with a wait before each token is told."""
        start = time.perf_counter()

        def told(row: int, token: int) -> None:
            nonlocal start
            self._wait(start)
            if on_token:
                on_token(row, token)
            start = time.perf_counter()

        answers = generate(self.session, batch, limits, told)
        self._wait(start)
        return answers

    def _wait(self, start: float) -> None:
        """Wait for the share of the time since ``start``."""
        now = time.perf_counter()
        until = now + self.share * (now - start)
        while time.perf_counter() < until:
            pass

    def _elapsed(self, batch: Mapping[str, np.ndarray]) -> float | None:
        """Milliseconds by the device's own events, prolonged by the share: the events do not see
        that the host waits."""
        milliseconds: float | None = self.session.elapsed(batch)  # type: ignore[attr-defined]
        return None if milliseconds is None else milliseconds * (1 + self.share)
