"""Locks of the operating system. A lock names its holder and ends with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from compress.store.trouble import named


@contextmanager
def held(folder: Path, name: str, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock ``name`` in ``folder``. While another process holds it, the call waits, after
    ``on_wait`` was given the name of that process.

    The operating system frees the lock when its holder ends, even if the holder is killed."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / f"{name}.lock"), folder / f"{name}.holder"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if on_wait:
            on_wait(_holder_text(holder))
        lock.acquire()
    try:
        with named(holder):
            holder.write_text(f"process {os.getpid()}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


@contextmanager
def held_if_free(folder: Path, name: str) -> Iterator[bool]:
    """Hold the lock ``name`` in ``folder`` if nobody else does; the value says whether it is
    held."""
    from filelock import FileLock, Timeout

    lock, holder = FileLock(folder / f"{name}.lock"), folder / f"{name}.holder"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        holder.unlink(missing_ok=True)  # that of a process which was killed
        yield True
    finally:
        lock.release()


def _holder_text(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8")
    except FileNotFoundError:
        return "another process"
