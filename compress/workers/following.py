"""What a machine does that is not the first of a run: its parts of the steps that several machines
do. No torch."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from compress.errors import CompressError
from compress.store.runfolder import RunFolder
from compress.workers.failures import describe, error_of
from compress.workers.meeting import Identity, Rendezvous, Say, join_first_machine
from compress.workers.peer import Peer
from compress.workers.protocol import Answer, Assigned, End, Failed, Finished, Message, Question
from compress.workers.supervisor import Worker, run_job


def follow(at: Rendezvous, own: Identity, folder: RunFolder, say: Say) -> None:
    """Do this machine's parts of a run until it is over. ``folder`` has the files of their workers.

    Raises the error that ended the run, or CompressError if the first machine is gone."""
    with closing(join_first_machine(at, own, say)) as peer:
        first = _First(peer)
        while True:
            match first.told():
                case Assigned() as assigned:
                    say(f"{assigned.name}: machine {at.machine} of {at.machines} does its part")
                    peer.send(_done(assigned, first, folder))
                case Finished():
                    return
                case Failed() as failed:
                    raise error_of(failed, folder.root)
                case _:
                    where = f"{at.host}:{at.port}"
                    raise CompressError(
                        f"the first machine ({where}) has ended, or is not reached any more"
                    )


class _First:
    """The first machine, to which a thread listens: this one's worker ends at once when it says so,
    when it ends the run, or when it is gone."""

    def __init__(self, peer: Peer) -> None:
        self.host, self.interface = peer.host, peer.interface
        self.has_ended_part = False
        self.failure: Failed | None = None
        self._peer = peer
        self._told: queue.Queue[Message | None] = queue.Queue()
        self._worker: Worker | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def told(self) -> Message | None:
        """What it says next; None if it is gone."""
        return self._told.get()

    def _listen(self) -> None:
        message = self._peer.receive()
        while isinstance(message, Assigned | End):
            if isinstance(message, Assigned):
                self.has_ended_part = False
                self._told.put(message)
            else:
                self._end_part()
            message = self._peer.receive()
        self._told.put(message)
        self._end_part()

    def _end_part(self) -> None:
        with self._lock:
            self.has_ended_part = True
            if self._worker is not None:
                self._worker.process.kill()

    @contextmanager
    def watching(self, worker: Worker) -> Iterator[None]:
        """Listen while the worker does this machine's part. Then ``failure`` is the worker's."""
        with self._lock:
            self._worker = worker
            if self.has_ended_part:
                worker.process.kill()
        try:
            yield
        finally:
            with self._lock:
                self._worker, self.failure = None, worker.failure


def _done(assigned: Assigned, first: _First, folder: RunFolder) -> Finished | Failed:
    """How this machine's part of a job ends."""
    part = assigned.job.part
    assert part is not None  # whoever assigns a part says which
    name = f"{assigned.name}-machine-{part.machine}"
    # The host that led here: the first machine may call itself by a name that leads nowhere else.
    part = replace(part, host=first.host, interface=first.interface)
    job = replace(assigned.job, part=part)
    log = folder.log(name)
    try:
        run_job(job, folder.job(name), log, lambda message: None, _nothing, watch=first.watching)
    except CompressError as error:
        failed = first.failure or replace(describe(error), follows=first.has_ended_part)
        if failed.error is None:
            failed = replace(failed, text=f"{failed.text} (traceback in {log})")
        return failed
    return Finished()


def _nothing(question: Question) -> Answer:
    raise AssertionError(f"rank 0 asks, and it is on the first machine: {question}")
