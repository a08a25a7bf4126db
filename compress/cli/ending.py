"""The signals that end a command: each interrupts it like Ctrl-C, so that what is finished is kept
and reported."""

from __future__ import annotations

import signal
from types import FrameType

from compress.errors import EXIT_SIGNAL, Ended

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What a service manager sends, and what a terminal sends when it is closed."""


def heed_signals() -> None:
    """Raise ``Ended`` in the main thread at SIGTERM and SIGHUP. One that is ignored stays ignored,
    as ``nohup`` has it."""
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    # A terminal that is closed and a machine that shuts down send several. The first is enough:
    # another would cut short what the first has begun. Ctrl-C still does.
    for other in ENDING:
        signal.signal(other, signal.SIG_IGN)
    raise Ended(number)


def ending_of(error: BaseException) -> tuple[str, int]:
    """What ended a command, in words, and its exit code. ``error`` is an interrupt, or what click
    has made of one."""
    cause = error if isinstance(error, Ended) else error.__cause__
    if isinstance(cause, Ended):
        return f"ended by {signal.Signals(cause.number).name}", EXIT_SIGNAL + cause.number
    return "interrupted", EXIT_SIGNAL + signal.SIGINT
