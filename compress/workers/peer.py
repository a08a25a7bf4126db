"""Another machine of the same run, at the other end of a line over the network. No torch."""

from __future__ import annotations

import socket
from contextlib import suppress

from compress.workers.channel import Line
from compress.workers.protocol import Message

ANSWER_SECONDS = 30
"""Seconds that the other end has to answer while machines meet."""
_PROBES = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 50_000}
"""After so many seconds of silence, the system asks whether the other machine is still there; what
was sent may be without an answer for so many milliseconds. So one that has lost its power is
noticed within a minute."""


class Peer:
    """Another machine: the line to it, and its number and its host's name, once they are known."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PROBES.items():
            if hasattr(socket, name):  # not every system has all
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        connection.settimeout(ANSWER_SECONDS)
        self._connection, self._line = connection, Line(connection)
        self._messages = self._line.messages()
        self.machine, self.host = 0, ""

    def send(self, message: Message) -> None:
        """Send a message. One that cannot arrive is dropped: the next ``receive`` returns None."""
        with suppress(OSError):
            self._line.send(message)

    def receive(self) -> Message | None:
        """The next message. Waits for it; None if the machine is gone."""
        try:
            return next(self._messages, None)
        except (KeyError, TypeError, AttributeError, RecursionError):  # a stranger's words
            return None

    def has_gone(self) -> bool:
        """Whether the other end is closed, of a machine that has nothing to say now."""
        try:
            return not self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def introduce(self, machine: int, host: str) -> None:
        """Now it is known who it is, and ``receive`` waits for it as long as it takes."""
        self.machine, self.host = machine, host
        self._connection.settimeout(None)

    @property
    def interface(self) -> str:
        """The network interface of this machine that leads to the other; empty if unknown."""
        import psutil

        own = self._connection.getsockname()[0].removeprefix("::ffff:")
        for name, addresses in psutil.net_if_addrs().items():
            if any(address.address.partition("%")[0] == own for address in addresses):
                return str(name)
        return ""

    def wait_for_end(self) -> None:
        """Wait a while until the other has read what was sent and closed its end."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
            self._connection.settimeout(ANSWER_SECONDS)
            while self._connection.recv(1 << 16):
                pass

    def close(self) -> None:
        """Close the line, also where a thread waits for the next message: it gets None."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._line.close()
