"""Starting the processes that apply a stage together, from a worker that waits for them.

torchrun's own launcher starts and watches them: if one ends with an error, it ends the others. The
worker passes on what rank 0 and the supervisor tell each other. Where several machines do the step,
each has such a worker, which starts the processes of its machine.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Set
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from signal import SIG_DFL, SIGABRT, SIGKILL, SIGTERM, Signals, signal
from typing import Any
from uuid import uuid4

from compress.errors import CompressError, Ended, first_line
from compress.machine import threads
from compress.workers.channel import Line, Listener, WorkerLine
from compress.workers.protocol import ApplyStage, Failed, Finished, Joined, Part

RANK = "compress.workers.rank"
"""The module that each of the processes runs."""
_ENDING_SECONDS = 55
"""Seconds that the processes have to keep a training when they are asked to end: a little less than
the supervisor waits for this one."""
_READ_SECONDS = 5
"""Seconds to wait for the last words of processes that have ended."""
_TOGETHER_SECONDS = 15
"""A process that was killed this much later than the first end was killed because of it."""


def launch(job_file: Path, job: ApplyStage, line: WorkerLine) -> Finished | Failed:
    """The result of the job, which is in the file, done by several processes; or the failure that
    ended them all, with the number of its process.

    Raises ``Ended`` if this process was asked to end, when all of them have ended."""
    from torch.distributed import DistError
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    own = job.processes // (job.part.machines if job.part else 1)
    os.environ["OMP_NUM_THREADS"] = str(max(1, threads() // own))
    if job.part and job.part.interface:
        for library in ("GLOO", "NCCL"):
            os.environ.setdefault(f"{library}_SOCKET_IFNAME", job.part.interface)
    with closing(_Relay(line)) as relay:
        start = elastic_launch(_launch_config(own, job.part), sys.executable)
        try:
            start("-P", "-m", RANK, str(job_file), relay.address)
        except SignalException as ended:
            raise Ended(ended.sigval) from None
        except ChildFailedError as failed:
            return to_blame(relay.failures(), failed.failures, job.processes)
        except DistError as error:
            return _apart(job.part, error)
        finally:
            signal(SIGTERM, SIG_DFL)  # it had a handler of the launcher's
    return Finished()


def _apart(part: Part | None, error: Exception) -> Failed:
    """The failure of machines whose launchers have not found, or have lost, each other. Of a
    machine alone it is a bug: raises the error."""
    if part is None:
        raise error
    text = (
        f"the processes of the machines did not meet at {part.host}:{part.port}, a port that was "
        f"free, or lost each other: does a firewall close it? ({first_line(error)})"
    )
    return Failed(text, CompressError.__name__, follows=True)


def _launch_config(processes: int, part: Part | None) -> Any:
    """torchrun's configuration for the processes of this machine."""
    from torch.distributed.run import config_from_args, parse_args

    place = _on_this_machine() if part is None else _among_machines(part)
    words = [f"--nproc-per-node={processes}", *place, RANK]
    config, _, _ = config_from_args(parse_args(words))
    return replace(config, max_restarts=0, shutdown_timeout=_ENDING_SECONDS)


def _on_this_machine() -> tuple[str, ...]:
    """torchrun's words for a machine alone: its processes meet at a port that is free."""
    return (
        "--nnodes=1",  # PET_NNODES, which the command may have been told to ignore, is another's
        "--rdzv-backend=c10d",
        "--rdzv-endpoint=localhost:0",
        "--local-addr=localhost",
        f"--rdzv-id={uuid4()}",
    )


def _among_machines(part: Part) -> tuple[str, ...]:
    """torchrun's words for one machine of several. With a static rendezvous rank 0 is on the first
    one, where the supervisor is."""
    return (
        "--rdzv-backend=static",
        f"--rdzv-endpoint={part.host}:{part.port}",
        f"--nnodes={part.machines}",
        f"--node-rank={part.machine}",
    )


class _Relay:
    """Passes messages on between the supervisor and rank 0, and keeps the failures of all."""

    def __init__(self, line: WorkerLine) -> None:
        self._line = line
        self._failed: list[tuple[int, Failed]] = []
        self._readers: list[threading.Thread] = []
        self._listener = Listener()
        self.address = self._listener.address
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                line = self._listener.accept(1)
            except OSError:  # it was closed
                return
            if line is not None:
                reader = threading.Thread(target=self._read, args=(line,), daemon=True)
                self._readers.append(reader)
                reader.start()

    def _read(self, line: Line) -> None:
        rank = 0
        for message in line.messages():
            match message:
                case Joined(rank):
                    if rank == 0:
                        threading.Thread(target=self._answer, args=(line,), daemon=True).start()
                case Failed():
                    self._failed.append((rank, message))
                case Finished():
                    pass  # the launcher waits for the ends of all
                case _:
                    self._line.send(message)

    def _answer(self, line: Line) -> None:
        """Pass on what the supervisor answers to rank 0."""
        while True:
            line.send(self._line.receive())

    def failures(self) -> list[tuple[int, Failed]]:
        """The failures that processes told, with their numbers, when all processes have ended."""
        for reader in self._readers:
            reader.join(_READ_SECONDS)
        return self._failed

    def close(self) -> None:
        """Free the address."""
        self._listener.close()


def to_blame(told: list[tuple[int, Failed]], ends: Mapping[int, Any], processes: int) -> Failed:
    """The failure that ended all processes. ``told`` are failures with the numbers of the processes
    that told them; ``ends`` are torch's ProcessFailures, with exit codes as ``subprocess`` has
    them.

    The end of one process is an error in the others, which lose their connection to it and say so.
    So an error that a process stated comes first, then the end of one that said nothing, then a
    bug; of those, one that follows another's failure comes last."""
    stated = [(rank, failed) for rank, failed in told if failed.error is not None]
    silent = _silent(ends, {rank for rank, _ in told})
    if not stated and silent is not None:
        rank, how = silent
        lost_another = ends[rank].exitcode in (-SIGTERM, -SIGABRT)
        text = f"rank {rank} of {processes} {how}"
        return Failed(text, CompressError.__name__, follows=lost_another)
    rank, failed = min(stated or told, key=lambda one: one[1].follows)
    return replace(failed, text=f"rank {rank} of {processes}: {failed.text}")


def _silent(ends: Mapping[int, Any], told: Set[int]) -> tuple[int, str] | None:
    """The rank of a process that ended first without telling its failure, and how it ended; None
    if a told failure explains all ends. One that was killed comes first."""
    first = min(end.timestamp for end in ends.values())
    for rank, end in ends.items():
        if end.timestamp - first < _TOGETHER_SECONDS and _was_killed(end.exitcode):
            guess = " (out of memory?)" if -end.exitcode == SIGKILL else ""
            return rank, f"was ended by {Signals(-end.exitcode).name}{guess}"
    left = [rank for rank, end in ends.items() if rank not in told and end.exitcode > 0]
    ranks = left or ([] if told else ends)
    if not ranks:
        return None
    rank = min(ranks, key=lambda rank: ends[rank].timestamp)
    return rank, f"ended with code {ends[rank].exitcode} and no result"


def _was_killed(code: int) -> bool:
    """Whether a signal from outside ended a process. SIGTERM is the launcher's own. With SIGABRT
    torch ends a process that has lost another."""
    return code < 0 and -code not in (SIGTERM, SIGABRT)
