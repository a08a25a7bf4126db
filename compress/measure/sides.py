"""The processes that hold the subjects: one for each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from compress.activity import process_seconds
from compress.artifact import JsonObject
from compress.measure.guarded import MeterFailed
from compress.measure.side import Side
from compress.meter import Effort, Sample
from compress.workers.forking import WorkerServer
from compress.workers.protocol import (
    LoadUsed,
    MeterPrepared,
    Open,
    Opened,
    Predict,
    Predicted,
    PrepareMeter,
    ProbeArtifact,
    Sampled,
    Started,
    Subject,
    TakeSample,
    UseLoad,
)


class Sides:
    """A process for each subject, started at the beginning of a ``with`` block and stopped at its
    end. Job files and logs go into ``folder``. They may start from the ``server``. Those in
    ``opened``, by name, have opened their subject before."""

    def __init__(
        self,
        subjects: Sequence[Subject],
        folder: Path,
        effort: Effort,
        server: WorkerServer | None = None,
        opened: Mapping[str, Side] | None = None,
    ) -> None:
        self._jobs = [ProbeArtifact(subject, effort) for subject in subjects]
        self._folder, self._server = folder, server
        self._sides: dict[str, Side] = dict(opened or {})
        self._ended_seconds = 0.0
        self.clocks: list[float] = []

    def __enter__(self) -> Sides:
        try:
            self._start()
        except BaseException:
            self._stop()  # Python calls no __exit__ for a block that did not begin
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def _start(self) -> None:
        """Start the processes that are missing and have them load their artifacts."""
        begun = []
        for job in self._jobs:
            name = job.subject.name
            if name not in self._sides:
                self._sides[name] = Side.start(job, self._folder, self._server)
                begun.append(self._sides[name].worker)
        # The processes import their libraries at the same time, which saves most of the waiting.
        # They open their artifacts one after the other: the seconds of a load are measured, and two
        # loads at once would share the disk and the cores.
        for worker in begun:
            worker.reply(Started)
        for worker in begun:
            worker.ask(Open(), Opened)

    def _stop(self) -> None:
        for side in self._sides.values():
            side.stop()
        self._sides = {}

    def prepare(self, name: str, meter: str) -> None:
        """Have a side warm up for a meter. Raises MeterFailed."""
        prepared = self._sides[name].worker.ask(PrepareMeter(meter), MeterPrepared)
        if prepared.failure:
            raise MeterFailed(prepared.failure)

    def sample(self, name: str, meter: str) -> Sample:
        """A sample of a side, taken now. The clock of its core is added to ``clocks``. Raises
        MeterFailed."""
        sampled = self._sides[name].worker.ask(TakeSample(meter), Sampled)
        if sampled.failure:
            raise MeterFailed(sampled.failure)
        if sampled.clock is not None:
            self.clocks.append(sampled.clock)
        return sampled.sample

    def predictions(self, name: str) -> Sequence[JsonObject]:
        """A side's answer to each row, in order."""
        return self._sides[name].worker.ask(Predict(), Predicted).predictions

    def worked_seconds(self) -> float:
        """Seconds that the cores have worked for the processes of all sides, and for this one."""
        return self._ended_seconds + self._living_seconds() + time.process_time()

    def _living_seconds(self) -> float:
        return sum(process_seconds(side.worker.process.pid) for side in self._sides.values())

    def use_load(self, name: str, number: int) -> None:
        """Have a side answer with a load of its artifact, the first of which is 0. It loads the
        artifact anew unless it holds that load."""
        self._sides[name].worker.ask(UseLoad(number), LoadUsed)

    def let_go(self) -> list[Side]:
        """The processes, which are the caller's from now on."""
        sides, self._sides = list(self._sides.values()), {}
        return sides

    def end(self) -> None:
        """Have every process end by itself."""
        for side in self._sides.values():
            side.end()
        self._sides = {}

    def restart(self) -> None:
        """Replace every process by a new one."""
        self._ended_seconds += self._living_seconds()
        self.end()
        self._start()
