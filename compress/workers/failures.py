"""Errors between a worker and its supervisor: described in one process, raised again in the
other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compress import errors
from compress.errors import (
    CompressError,
    FileTrouble,
    UsageError,
    first_line,
    name_and_first_line,
)
from compress.meter import Meter
from compress.registry.plugins import Registered
from compress.store.trouble import file_trouble, why_not_written
from compress.workers.protocol import Failed


def describe(error: Exception, written: Sequence[Path] = ()) -> Failed:
    """The message from which ``error_of`` makes the error again. The job writes into the folders
    ``written``.

    An error of the file system is a FileTrouble that names the file, also where a library reports
    it with an error of its own."""
    if not isinstance(error, CompressError):
        trouble = _trouble_behind(error, written)
        if trouble is not None:
            return Failed(file_trouble(trouble), FileTrouble.__name__)
        return Failed(name_and_first_line(error))
    mistakes = tuple(error.mistakes) if isinstance(error, UsageError) else ()
    return Failed(str(error), _known_name(type(error)), mistakes)


def _known_name(kind: type[CompressError]) -> str:
    """The name of the class in ``compress.errors`` that ``kind`` is, or that it comes from: the
    other process does not know a plugin's classes."""
    known = (base for base in kind.__mro__ if base.__module__ == errors.__name__)
    return next(known).__name__


def _trouble_behind(error: Exception, written: Sequence[Path]) -> OSError | None:
    """The error of the file system that is, or is behind, ``error``; None for a bug.

    Libraries raise OSErrors of their own, without a number, for what is no file's trouble."""
    is_the_systems = isinstance(error, OSError) and error.errno is not None
    if isinstance(error, OSError) and is_the_systems and error.filename is not None:
        return error
    behind = why_not_written(written)
    if behind is None and isinstance(error, OSError) and is_the_systems:
        return error
    return behind


def error_of(failed: Failed, log: Path) -> CompressError:
    """The error that a worker described; of a bug, one that names the worker's ``log``.

    An error class of a plugin becomes the class of ``compress.errors`` that it comes from."""
    if failed.error is None:
        return CompressError(f"{failed.text} (traceback in {log})")
    if failed.mistakes:
        return UsageError(failed.mistakes)
    known: type[CompressError] = getattr(errors, failed.error)
    return known(failed.text)


def why_no_figure(meter: Registered[Meter], method: str, error: Exception) -> str:
    """Why a meter has no figures, after an ``error`` in one of its methods."""
    is_told = isinstance(error, CompressError)
    why = first_line(error) if is_told else name_and_first_line(error)
    return f"{method} of the meter {meter.called} failed: {why}"
