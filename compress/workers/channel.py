"""The line between the supervisor and a worker: messages over a local socket.

A worker never outlives the run that started it. On Linux the kernel ends it; elsewhere it ends
itself when it finds the line closed.
"""

from __future__ import annotations

import ctypes
import os
import queue
import shutil
import signal
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from compress.store.locks import held, held_if_free
from compress.workers.encoding import decode_message, encode
from compress.workers.protocol import Message

_LONGEST_FOLDER = 80
"""Bytes of a temporary folder's path: a socket's path is limited to about 100 in all."""
_PREFIX, _LINE, _OWNER = "compress-", "line", "owner"
"""Names of a socket's folder (its beginning), of the socket in it, and of its owner's lock."""
_YOUNG_SECONDS = 60
"""The age from which a folder without a holder of its lock is left over. A younger one may be in
the making."""
_PR_SET_PDEATHSIG = 1
"""``prctl``'s number for it, in Linux's <linux/prctl.h>."""


def end_with_supervisor() -> None:
    """Have the kernel kill this process when the thread that started it ends; Linux only
    (``man 2 prctl``). The supervisor waits for a worker in the thread that started it.

    The kernel kills it whatever it is doing. The thread that reads the line is less reliable: it
    needs the interpreter's lock to end the process, and a call into a library may keep that lock
    for minutes. The process would go on writing files, while the user may have started the same
    command again. Other systems have only that thread.

    Call it before the line is opened. Then a supervisor that has ended already is noticed too: its
    end of the line is closed, and opening it fails."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Listener:
    """The supervisor's end before a worker has opened the line at ``address``."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=_temporary_folder())
        self._owned = ExitStack()
        self._owned.callback(self._folder.cleanup)
        self._owned.enter_context(held(Path(self._folder.name), _OWNER))
        self.address = str(Path(self._folder.name) / _LINE)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.address)
        self._socket.listen(1)

    def accept(self, timeout: float) -> Line | None:
        """The line to the worker, or None if it did not open it within ``timeout`` seconds."""
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
        self._owned.close()


def sweep_lines() -> None:
    """Remove the folders of sockets whose owner was killed, from the folder for temporary files.

    The lock of a living owner keeps its folder."""
    for folder in Path(_temporary_folder()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it is another user's, or its owner removes it now
            if _may_be_left_over(folder):
                _remove_unless_owned(folder)


def _may_be_left_over(folder: Path) -> bool:
    """Whether the folder is this user's, holds what a listener puts there and nothing else, and is
    so old that its owner has its lock if it lives."""
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid():
        return False
    names = {path.name for path in folder.iterdir()}
    known = {_LINE, f"{_OWNER}.lock", f"{_OWNER}.holder"}
    # An empty folder may be another program's, which has not filled it yet.
    is_a_listeners = bool(names) and names <= known
    return is_a_listeners and time.time() - state.st_mtime > _YOUNG_SECONDS


def _remove_unless_owned(folder: Path) -> None:
    with held_if_free(folder, _OWNER) as mine:
        if mine:
            shutil.rmtree(folder, ignore_errors=True)


def _temporary_folder() -> str:
    """The folder for folders of sockets. It is neither the store nor a deep TMPDIR, whose paths may
    be too long."""
    named = tempfile.gettempdir()
    return named if len(os.fsencode(named)) <= _LONGEST_FOLDER else "/tmp"


class Line:
    """One end of an open line."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = connection.makefile("r", encoding="utf-8")
        self._sending = threading.Lock()

    def send(self, message: Message) -> None:
        """Send one message. Raises ConnectionError if the other end is gone."""
        data = (encode(message) + "\n").encode()
        with self._sending:
            self._connection.sendall(data)

    def messages(self) -> Iterator[Message]:
        """Messages until the other end is gone."""
        try:
            for text in self._reader:
                yield decode_message(text)
        except (OSError, ValueError):
            return

    def close(self) -> None:
        """Close this end."""
        self._reader.close()
        self._connection.close()


class WorkerLine:
    """The worker's end. A thread reads it, and ends the process when the supervisor is gone."""

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
        """Send a message to the supervisor."""
        self._line.send(message)

    def receive(self) -> Message:
        """The next message from the supervisor. Waits for it."""
        return self._inbox.get()
