"""The first machine's view of the others: it gives them their parts of a step, and hears how these
end. No torch."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from compress.errors import CompressError
from compress.workers.failures import describe, error_of
from compress.workers.meeting import Rendezvous
from compress.workers.peer import Peer
from compress.workers.protocol import ApplyStage, Assigned, End, Failed, Finished, Part
from compress.workers.supervisor import Worker

_GRACE_SECONDS = 15
"""Seconds that a part has to end by itself after another has failed."""


class Team:
    """The other machines of a run, which do their parts of each step that has several processes."""

    def __init__(self, at: Rendezvous, peers: Sequence[Peer]) -> None:
        self._at, self._peers = at, peers

    def share(self, job: ApplyStage, name: str) -> ApplyStage:
        """This machine's part of the job. The others have been given theirs, under that name."""
        part = Part(0, self._at.machines, self._at.host, _free_port())
        for peer in self._peers:
            theirs = replace(part, machine=peer.machine)
            peer.send(Assigned(name, replace(job, part=theirs)))
        return replace(job, part=replace(part, interface=self._peers[0].interface))

    @contextmanager
    def watching(self, worker: Worker) -> Iterator[None]:
        """While the worker does this machine's part, hear how the others' end, and end it when one
        has failed. Raises the error of the part that failed first."""
        others = [_Other(peer, self._called(peer), worker) for peer in self._peers]
        own: Failed | None = None
        try:
            yield
        except CompressError as error:
            own = worker.failure or replace(describe(error), follows=any(o.killed for o in others))
            _raise_first([own, *(other.end_soon() for other in others)], own, error)
        else:
            _raise_first([other.end() for other in others])
        finally:
            for other in others:
                other.is_over.set()

    def _called(self, peer: Peer) -> str:
        return f"machine {peer.machine} of {self._at.machines} ({peer.host})"

    def dismiss(self, error: BaseException | None) -> None:
        """Tell the others that the run is over: it is done, or it ended by an error."""
        if error is not None and not isinstance(error, CompressError):
            error = CompressError("the run was ended on the first machine")
        for peer in self._peers:
            peer.send(Finished() if error is None else describe(error))
        for peer in self._peers:
            peer.wait_for_end()
            peer.close()


class _Other:
    """Another machine's part, whose end a thread hears. ``killed``: the worker of this machine was
    ended because of it."""

    def __init__(self, peer: Peer, called: str, worker: Worker) -> None:
        self._peer, self._called, self._worker = peer, called, worker
        self._end: Finished | Failed | None = None
        self.killed = False
        self.is_over = threading.Event()
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        match self._peer.receive():
            case Finished() as finished:
                self._end = finished
            case Failed() as failed:
                self._end = replace(failed, text=f"{failed.text}, on {self._called}")
            case _:
                self._end = self._lost()
        if isinstance(self._end, Failed) and not self.is_over.wait(_GRACE_SECONDS):
            self.killed = True
            self._worker.process.kill()  # it waits for processes that are gone

    def _lost(self) -> Failed:
        text = f"{self._called} has ended, or is not reached any more"
        return Failed(text, CompressError.__name__)

    def end(self) -> Finished | Failed:
        """How the part ended. Waits for it."""
        self.is_over.set()
        self._thread.join()
        return self._end or self._lost()

    def end_soon(self) -> Finished | Failed:
        """The same, after another part has failed. If it does not end by itself, it is told to."""
        self.is_over.set()
        self._thread.join(_GRACE_SECONDS)
        if self._thread.is_alive():
            self._peer.send(End())
            self._thread.join(_GRACE_SECONDS)
        return self._end or self._lost()


def _raise_first(
    ends: Sequence[Finished | Failed],
    own: Failed | None = None,
    error: CompressError | None = None,
) -> None:
    """Raise the failure that came first, if there is any: not one that follows another's, and
    rather one that was stated than a bug. ``error`` is that of this machine's ``own``."""
    failures = [end for end in ends if isinstance(end, Failed)]
    if not failures:
        return
    first = min(failures, key=lambda failed: (failed.follows, failed.error is None))
    if first is own and error is not None:
        raise error
    # The other machine has named the log of a bug.
    raise error_of(replace(first, error=first.error or CompressError.__name__), Path()) from None


def _free_port() -> int:
    """A port of this machine at which the processes can meet."""
    with socket.create_server(("", 0)) as server:
        port: int = server.getsockname()[1]
        return port
