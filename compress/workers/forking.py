"""The supervisor's side of the process from which workers start (``compress.workers.server``)."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from io import RawIOBase
from pathlib import Path

from compress.artifact import Manifest
from compress.errors import CompressError
from compress.machine import gpus
from compress.registry.models import needs_torch
from compress.registry.plugins import Registry, engine_for
from compress.workers.protocol import (
    LONGEST_REQUEST,
    READY_TO_MEASURE,
    ApplyStage,
    ConfigureModel,
    ImportModel,
    Job,
    OpenArtifact,
    ProbeArtifact,
)

SERVER = "compress.workers.server"
"""The module that the server's process runs."""
_KILLED = -signal.SIGKILL
"""The exit code of a worker whose server has ended: the kernel ends it too."""


class WorkerServer:
    """The process from which workers start that need torch, with the libraries imported.

    It starts when it is first needed, or with the first worker of any kind if it is ``expected`` to
    be needed. It is for Linux without a GPU. What it cannot do, a fresh process does. ``registry``
    says which jobs need torch. It ends with the ``with`` block."""

    def __init__(self, registry: Registry, *, expected: bool = False) -> None:
        self._registry = registry
        self._expected = expected
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._environment: Mapping[str, str] = {}
        self._answer: bytes | None = None

    def __enter__(self) -> WorkerServer:
        return self

    def __exit__(self, *error: object) -> None:
        if self._requests is not None:
            self._requests.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def fork(
        self, job: Job, job_file: Path, address: str, log: Path, environment: Mapping[str, str]
    ) -> ForkedProcess | None:
        """A worker on ``job``, which is in ``job_file``; None if a fresh process must do it."""
        is_taken = self._takes(job)
        if is_taken or self._expected:
            self._start(environment)
        if not is_taken or self._environment != environment or not self._is_ready(job):
            return None
        request = {"job": str(job_file), "address": address, "folder": str(Path.cwd())}
        return self._ask(json.dumps(request).encode(), log)

    def _takes(self, job: Job) -> bool:
        """Whether a job needs what the server has imported.

        A thorough measurement has fresh processes, because an interval is to hold what stays with a
        process: forked ones have the same layout of memory."""
        match job:
            case ApplyStage():
                return needs_torch(self._registry.stages[job.stage].cls.libraries)
            case OpenArtifact():
                return self._runs_torch(job.folder)
            case ProbeArtifact():
                return job.effort != "thorough" and self._runs_torch(job.subject.folder)
            case ImportModel():
                # It asks transformers for the tokenizer, which a fresh process imports in less time
                # than the server needs for all.
                return self._expected
        return isinstance(job, ConfigureModel)

    def _runs_torch(self, folder: Path) -> bool:
        """Whether the engine of the artifact in ``folder`` runs torch."""
        try:
            engine = engine_for(self._registry, Manifest.read(folder).traits.format)
        except CompressError:  # the worker raises it again
            return False
        return needs_torch(engine.packages)

    def _start(self, environment: Mapping[str, str]) -> None:
        """Begin to import the libraries in the server's process, if that has not begun yet."""
        if self._process is not None or sys.platform != "linux" or gpus(environment):
            return
        self._environment = dict(environment)
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", SERVER, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # what fails here fails again in a fresh process
                env=self._environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def _is_ready(self, job: Job) -> bool:
        """Whether the server can start a worker on ``job``. Waits for its imports."""
        assert self._requests is not None  # ``_start`` made it
        if self._answer is None:
            try:
                self._answer = self._requests.recv(LONGEST_REQUEST)
            except ConnectionError:
                self._answer = b""  # it has ended
        if isinstance(job, ProbeArtifact):
            return self._answer == READY_TO_MEASURE
        return self._answer != b""

    def _ask(self, request: bytes, log: Path) -> ForkedProcess | None:
        """The worker that the server starts for a request; None if the server has ended."""
        assert self._requests is not None
        with log.open("ab") as output:
            ended, status = os.pipe()
            try:
                socket.send_fds(self._requests, [request], [output.fileno(), status])
            except ConnectionError:
                os.close(ended)
                return None
            finally:
                os.close(status)
        return ForkedProcess.announced(os.fdopen(ended, "rb", buffering=0))


class ForkedProcess:
    """A worker that the server has started. It is not a child of this process, so the server
    reports its end. The methods are those of ``subprocess.Popen``."""

    def __init__(self, pid: int, status: RawIOBase) -> None:
        self.pid = pid
        self._status = status
        self._code: int | None = None

    @classmethod
    def announced(cls, status: RawIOBase) -> ForkedProcess | None:
        """The worker whose process id stands in ``status``; None if the server has ended."""
        line = status.readline()
        if not line:
            status.close()
            return None
        return cls(int(line), status)

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises TimeoutExpired if the process runs for ``timeout`` more seconds."""
        if self._code is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a worker", timeout or 0)
            with self._status:
                self._code = int(self._status.readline() or _KILLED)
        return self._code

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):  # it has ended since it was last asked
            os.kill(self.pid, number)
