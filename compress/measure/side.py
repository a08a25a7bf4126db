"""The process that holds one subject."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from compress.store.files import file_name
from compress.workers.forking import WorkerServer
from compress.workers.protocol import End, Finished, ProbeArtifact
from compress.workers.supervisor import Worker, started


@dataclass(frozen=True)
class Side:
    """A process that has begun to open a subject, or has opened it; ``stack`` ends it."""

    job: ProbeArtifact
    worker: Worker
    stack: ExitStack

    @classmethod
    def start(cls, job: ProbeArtifact, folder: Path, server: WorkerServer | None) -> Side:
        """Start the process. Its job file and log go into ``folder``."""
        name, stack = file_name(job.subject.name), ExitStack()
        worker = stack.enter_context(
            started(job, folder / f"{name}.job.json", folder / f"{name}.log", server)
        )
        return cls(job, worker, stack)

    def end(self) -> None:
        """Have the process end by itself. Raises CompressError if it had ended before."""
        try:
            self.worker.ask(End(), Finished)
        finally:
            self.stop()

    def stop(self) -> None:
        """End the process, if it runs."""
        self.stack.close()
