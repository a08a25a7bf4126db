"""Standard output and standard error as a command needs them: they take every character, and who
stops reading ends no run."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from compress.errors import EXIT_ENVIRONMENT, EXIT_SIGNAL

_SIGPIPE = 13
EXIT_NOT_READ = EXIT_SIGNAL + _SIGPIPE
"""The exit code of a command whose reader has gone before the end, as for any Unix program."""


def prepare_output() -> None:
    """Have both streams replace characters that they cannot take, and standard error drop what
    nobody can read any more: a run goes on without its terminal.

    A stream that was closed at the start is the null device."""
    # Opened first, in this order: a closed standard stream would be the next file that is opened.
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _forgiving(sys.stderr)


class _Forgiving(io.FileIO):
    """A file that drops what it cannot write."""

    def write(self, data: Any) -> int:
        """The number of bytes that were written or dropped."""
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _forgiving(stream: TextIO) -> TextIO:
    """``stream``, dropping what it cannot write. A stream in memory stays as it is."""
    try:
        raw = _Forgiving(stream.fileno(), "wb", closefd=False)
    except io.UnsupportedOperation:
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


def flushed(code: int, complain: Callable[[OSError], None]) -> int:
    """The exit code of a command that ended with ``code``, after all its output is written.

    Output that nobody reads any more changes it only if the command had nothing else to say;
    ``complain`` gets another error, such as a full disk."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
        return code or EXIT_NOT_READ
    except OSError as error:
        drop_output()
        complain(error)
        return code or EXIT_ENVIRONMENT
    return code


def is_unread(error: BaseException) -> bool:
    """Whether an error means that nobody reads the output any more. click and rich make a
    SystemExit of it, with the code of a failure."""
    cause = error.__context__ if isinstance(error, SystemExit) else error
    return isinstance(cause, BrokenPipeError)


def drop_output() -> None:
    """Write the rest of standard output, which cannot be written, to nowhere. Else Python would
    try again when it ends, and complain."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def takes_every_character(stream: TextIO) -> bool:
    """Whether the stream can write any text as it is."""
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")
