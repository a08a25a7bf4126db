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
    return Failed(str(error), _known_name(type(error)), mistakes)


def _known_name(kind: type[CompressError]) -> str:
    """The name of the class in ``compress.errors`` that ``kind`` is, or that it comes from: the
    other process does not know a plugin's classes."""
    known = (base for base in kind.__mro__ if base.__module__ == errors.__name__)
    return next(known).__name__


def error_of(failed: Failed, log: Path) -> CompressError:
    """The error that a worker described; of a bug, one that names the worker's ``log``.

    An error class of a plugin becomes the class of ``compress.errors`` that it comes from."""
    if failed.error is None:
        return CompressError(f"{failed.text} (traceback in {log})")
    if failed.mistakes:
        return UsageError(failed.mistakes)
    known: type[CompressError] = getattr(errors, failed.error)
    return known(failed.text)
