"""The processes that hold the subjects: one for each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from compress.activity import process_seconds
from compress.artifact import JsonObject
from compress.measure.guarded import MeterFailed
from compress.meter import Effort, Sample
from compress.store.files import file_name
from compress.workers.forking import WorkerServer
from compress.workers.protocol import (
    End,
    Finished,
    MeterPrepared,
    Open,
    Opened,
    Predict,
    Predicted,
    PrepareMeter,
    ProbeArtifact,
    Reopen,
    Reopened,
    Sampled,
    Started,
    Subject,
    TakeSample,
)
from compress.workers.supervisor import Worker, started


class Sides:
    """A process for each subject, started at the beginning of a ``with`` block and stopped at its
    end. Job files and logs go into ``folder``. They may start from the ``server``."""

    def __init__(
        self,
        subjects: Sequence[Subject],
        folder: Path,
        effort: Effort,
        server: WorkerServer | None = None,
    ) -> None:
        self._subjects, self._folder, self._effort = subjects, folder, effort
        self._server = server
        self._stack = ExitStack()
        self._workers: dict[str, Worker] = {}
        self._ended_seconds = 0.0
        self.clocks: list[float] = []

    def __enter__(self) -> Sides:
        try:
            self._start()
        except BaseException:
            self._stack.close()  # Python calls no __exit__ for a block that did not begin
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        """Start the processes and have them load their artifacts."""
        for subject in self._subjects:
            name = file_name(subject.name)
            self._workers[subject.name] = self._stack.enter_context(
                started(
                    ProbeArtifact(subject, self._effort),
                    self._folder / f"{name}.job.json",
                    self._folder / f"{name}.log",
                    self._server,
                )
            )
        # The processes import their libraries at the same time, which saves most of the waiting.
        # They open their artifacts one after the other: the seconds of a load are measured, and two
        # loads at once would share the disk and the cores.
        for worker in self._workers.values():
            worker.reply(Started)
        for worker in self._workers.values():
            worker.ask(Open(), Opened)

    def prepare(self, name: str, meter: str) -> None:
        """Have a side warm up for a meter. Raises MeterFailed."""
        prepared = self._workers[name].ask(PrepareMeter(meter), MeterPrepared)
        if prepared.failure:
            raise MeterFailed(prepared.failure)

    def sample(self, name: str, meter: str) -> Sample:
        """A sample of a side, taken now. The clock of its core is added to ``clocks``. Raises
        MeterFailed."""
        sampled = self._workers[name].ask(TakeSample(meter), Sampled)
        if sampled.failure:
            raise MeterFailed(sampled.failure)
        if sampled.clock is not None:
            self.clocks.append(sampled.clock)
        return sampled.sample

    def predictions(self, name: str) -> Sequence[JsonObject]:
        """A side's answer to each row, in order."""
        return self._workers[name].ask(Predict(), Predicted).predictions

    def worked_seconds(self) -> float:
        """Seconds that the cores have worked for the processes of all sides, and for this one."""
        living = sum(process_seconds(worker.process.pid) for worker in self._workers.values())
        return self._ended_seconds + living + time.process_time()

    def reopen(self, name: str) -> None:
        """Have a side load its artifact anew."""
        self._workers[name].ask(Reopen(), Reopened)

    def end(self) -> None:
        """Have every process end by itself."""
        for worker in self._workers.values():
            worker.ask(End(), Finished)

    def restart(self) -> None:
        """Replace every process by a new one."""
        for worker in self._workers.values():
            self._ended_seconds += process_seconds(worker.process.pid)
        self.end()
        self._stack.close()
        self._start()
