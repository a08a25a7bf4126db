"""The line between the supervisor and a worker: JSON messages over a local socket.

A worker never outlives the run that started it: on Linux the kernel ends it, elsewhere it ends
itself when it finds the line closed.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Message = dict[str, Any]
_SHORT = 80
_PR_SET_PDEATHSIG = 1
"""``prctl``'s number for it, in Linux's <linux/prctl.h>."""


def end_with_supervisor() -> None:
    """Have this process killed when the thread that started it ends, however that ends; Linux only
    (``man 2 prctl``). Who starts a worker waits for it in the same thread.

    The kernel does it whatever this process is at. The thread that reads the line is not as sure:
    to end the process it needs the interpreter's lock, which a call into a library may keep for
    minutes, writing files all the while, when the same command has been started again. It is what
    other systems have.

    To be called before the line is opened, so that a supervisor that has ended by now is not
    missed: its end of the line closed before, and nobody answers."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Listener:
    """The supervisor's end before a worker has called. ``address`` goes into the worker's job."""

    def __init__(self) -> None:
        # A socket's path is limited to about 100 bytes, so it does not stand in the store, nor in a
        # deep TMPDIR.
        is_short = len(os.fsencode(tempfile.gettempdir())) <= _SHORT
        self._folder = tempfile.TemporaryDirectory(
            prefix="compress-", dir=None if is_short else "/tmp"
        )
        self.address = str(Path(self._folder.name) / "line")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.address)
        self._socket.listen(1)

    def accept(self, timeout: float) -> Line | None:
        """The line to the worker that called, or None when nobody did in ``timeout`` seconds."""
        self._socket.settimeout(timeout)
        try:
            connection, _ = self._socket.accept()
        except TimeoutError:
            return None
        connection.setblocking(True)
        return Line(connection)

    def close(self) -> None:
        """Free the address."""
        self._socket.close()
        self._folder.cleanup()


class Line:
    """One end of an open line."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = connection.makefile("r", encoding="utf-8")
        self._sending = threading.Lock()

    def send(self, message: Message) -> None:
        """Send one message. Raises ConnectionError where the other end is gone."""
        data = (json.dumps(message) + "\n").encode()
        with self._sending:
            self._connection.sendall(data)

    def messages(self) -> Iterator[Message]:
        """Messages until the other end is gone."""
        try:
            for text in self._reader:
                yield json.loads(text)
        except (ConnectionError, ValueError):
            return

    def close(self) -> None:
        """Hang up."""
        self._reader.close()
        self._connection.close()


class WorkerLine:
    """The worker's end: a thread reads, and the process ends at once when the supervisor is
    gone."""

    def __init__(self, address: str) -> None:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
        self._line = Line(connection)
        self._inbox: queue.Queue[Message] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for message in self._line.messages():
            self._inbox.put(message)
        os._exit(1)  # the supervisor is gone: nobody will commit what this process makes

    def send(self, message: Message) -> None:
        """Tell the supervisor something."""
        self._line.send(message)

    def receive(self) -> Message:
        """The next message from the supervisor; waits for it."""
        return self._inbox.get()
