"""Files that cannot be read or written: what the system says, in a line for the user."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_PROBE_BYTES = 1 << 20
"""What is written to see whether a disk still takes a file."""


def file_trouble(error: OSError) -> str:
    """``FILE: the reason that the system gives``, or the reason alone if the error names no
    file. Of a copy or a move both files are named."""
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return reason if _has_working_directory() else f"the working directory is gone: {reason}"
    names = [name for name in (error.filename, error.filename2) if name is not None]
    return f"{' -> '.join(map(_shown, names))}: {reason}"


def _shown(name: str | bytes | int) -> str:
    # ``write_text`` writes a draft first. The user knows the file that the draft becomes.
    text = str(name) if isinstance(name, int) else os.fsdecode(name)
    return re.sub(r"\.\d+\.draft$", "", text)


def _has_working_directory() -> bool:
    try:
        return Path.cwd().is_dir()
    except OSError:
        return False


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Give an OSError of the body that names no file this one. Python names none where a write to
    an open file fails."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


def why_not_written(folders: Sequence[Path]) -> OSError | None:
    """What keeps this process from writing into the folders; None if nothing does.

    Many libraries report a full disk with an error of their own, which says so only in its text."""
    for folder in folders:
        trouble = _at_its_limit(folder) or _probed(folder)
        if trouble is not None:
            return trouble
    return None


def _at_its_limit(folder: Path) -> OSError | None:
    """The error of a file that has reached the size that this process may write
    (``ulimit -f``)."""
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit == resource.RLIM_INFINITY:
        return None
    files = [file for file in folder.rglob("*") if file.is_file()]
    large = [file for file in files if file.stat().st_size >= limit]
    if not large:
        return None
    newest = max(large, key=lambda file: file.stat().st_mtime_ns)
    return OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(newest))


def _probed(folder: Path) -> OSError | None:
    """The error of writing a file into the folder, which is removed again."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        with probe.open("wb") as stream:
            stream.write(bytes(_PROBE_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        if error.errno == errno.EFBIG:  # a small limit, which no file has reached
            return None
        return OSError(error.errno, error.strerror, str(folder))
    finally:
        with suppress(OSError):
            probe.unlink()
    return None
