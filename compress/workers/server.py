"""The process from which workers start that need torch:
``python -P -m compress.workers.server CONTROL``.

Importing torch and transformers takes seconds, and each worker would pay them. This process imports
them once. Then it forks for each request: the worker begins with the libraries in memory, and is a
process of its own in everything else. ``CONTROL`` is the number of the descriptor of the socket
that requests come from. When its other end closes, this process ends.

It computes nothing itself: the threads of a pool would be missing after a fork, and a GPU could not
be used after it.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from contextlib import suppress
from typing import Any

from compress.workers.channel import end_with_supervisor
from compress.workers.mapping import MappedFiles
from compress.workers.protocol import LONGEST_REQUEST, READY, READY_TO_MEASURE

LIBRARIES = (
    "compress.models",
    "compress.sessions",
    "compress.surgery",
    "compress.training.loop",
    "compress.registry.plugins",
    "compress.workers.jobs",
    "compress.workers.worker",
    "evaluate",
)
"""What workers with torch need: the core's own modules with all that they import, and the library
that scores."""


def main(control: int) -> int:
    """Serve requests until the other end is closed. The exit code is 0."""
    end_with_supervisor()
    with socket.socket(fileno=control) as requests:
        _import_libraries()
        if not _sees_an_accelerator():
            mapped = _mapped_files()
            requests.send(READY if mapped is None else READY_TO_MEASURE)
            _Server(requests, mapped).serve()
    return 0


def _import_libraries() -> None:
    for name in LIBRARIES:
        # A job that needs what is missing reports it, with the reason, in its own process.
        with suppress(ImportError):
            importlib.import_module(name)


def _sees_an_accelerator() -> bool:
    """Whether torch has a device besides the processor. Then workers must be fresh processes: what
    a library knows about a device does not survive a fork."""
    import torch

    return torch.accelerator.is_available()


def _mapped_files() -> MappedFiles | None:
    """The pages of libraries in this process; None if the system cannot map them in another."""
    try:
        mapped = MappedFiles.of_this_process()
        mapped.map()
    except OSError:
        return None
    return mapped


class _Server:
    """Starts a worker for each request, and tells when one has ended."""

    def __init__(self, requests: socket.socket, mapped: MappedFiles | None) -> None:
        self._requests, self._mapped = requests, mapped
        self._status: dict[int, int] = {}
        """The descriptor to report to, by the worker's process id."""
        self._ended, waking = os.pipe()
        os.set_blocking(self._ended, False)
        os.set_blocking(waking, False)
        self._waking = waking

    def serve(self) -> None:
        """Serve until the other end of the socket is closed."""
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a signal that is ignored wakes nothing
        signal.set_wakeup_fd(self._waking)
        with selectors.DefaultSelector() as selector:
            selector.register(self._requests, selectors.EVENT_READ)
            selector.register(self._ended, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fd == self._ended:
                        self._report_ends()
                    elif not self._start_worker():
                        return

    def _start_worker(self) -> bool:
        """Start a worker; False if nobody can ask for one any more."""
        text, files, _, _ = socket.recv_fds(self._requests, LONGEST_REQUEST, 2)
        if not text:
            return False
        log, status = files
        pid = os.fork()
        if pid == 0:
            self._become_worker(log, status)
            os._exit(_work(json.loads(text), self._mapped))
        os.close(log)
        self._status[pid] = status
        _tell(status, pid)
        return True

    def _report_ends(self) -> None:
        """Tell the exit codes of workers that have ended, as ``subprocess`` counts them: negative
        for a signal."""
        with suppress(BlockingIOError):
            os.read(self._ended, LONGEST_REQUEST)
        for pid in list(self._status):
            ended, code = os.waitpid(pid, os.WNOHANG)
            if ended:
                status = self._status.pop(pid)
                _tell(status, os.waitstatus_to_exitcode(code))
                os.close(status)

    def _become_worker(self, log: int, status: int) -> None:
        """In the new process: give up what is the server's, and write output to the log."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._requests.close()
        os.setsid()
        os.dup2(log, 1)
        os.dup2(log, 2)
        for descriptor in (self._ended, self._waking, log, status, *self._status.values()):
            os.close(descriptor)


def _tell(status: int, number: int) -> None:
    with suppress(BrokenPipeError):  # nobody waits for this worker any more
        os.write(status, f"{number}\n".encode())


def _work(request: dict[str, Any], mapped: MappedFiles | None) -> int:
    """Do the job of a request in this process. The exit code comes back."""
    from compress.workers import worker

    try:
        os.chdir(request["folder"])
        if mapped is not None:
            mapped.map()
        return worker.main(request["job"], request["address"])
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except BaseException:  # outermost frame of the process
        traceback.print_exc()
        return 1
    finally:
        # Instead of the interpreter's end, which takes seconds with torch in memory.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
