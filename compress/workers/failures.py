"""Errors between a worker and its supervisor: described in one process, raised again in the
other."""

from __future__ import annotations

from pathlib import Path

from compress import errors
from compress.errors import CompressError, UsageError, name_and_first_line
from compress.workers.protocol import Failed


def describe(error: Exception) -> Failed:
    """The message from which ``error_of`` makes the error again."""
    if not isinstance(error, CompressError):
        return Failed(name_and_first_line(error))
    mistakes = tuple(error.mistakes) if isinstance(error, UsageError) else ()
    return Failed(str(error), type(error).__name__, mistakes)


def error_of(failed: Failed, log: Path) -> CompressError:
    """The error that a worker described; of a bug, one that names the worker's ``log``.

    An error class of a plugin is not known here, and becomes a CompressError."""
    if failed.error is None:
        return CompressError(f"{failed.text} (traceback in {log})")
    if failed.mistakes:
        return UsageError(failed.mistakes)
    known = getattr(errors, failed.error, CompressError)
    is_error = isinstance(known, type) and issubclass(known, CompressError)
    return known(failed.text) if is_error else CompressError(failed.text)
