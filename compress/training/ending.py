"""The request to end a training: it ends at its next step, with a checkpoint."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from compress.errors import Ended


@dataclass
class EndRequest:
    """Whether this process was asked to end."""

    asked: bool = False

    def obey(self) -> None:
        """Raise ``Ended`` if it was asked."""
        if self.asked:
            raise Ended(signal.SIGTERM)


@contextmanager
def end_requested() -> Iterator[EndRequest]:
    """While the block runs, SIGTERM does not end this process: it is a request, which the block
    obeys when nothing is lost. Python hears signals in the main thread alone; in another thread no
    request comes."""
    request = EndRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(*_: object) -> None:
        request.asked = True

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, before)
