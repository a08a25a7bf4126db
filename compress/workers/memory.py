"""How much memory is free, for what may be kept or given up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

_GROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""By version of Linux's control groups: the files of the limit and of what is used, and which line
of ``memory.stat`` has the part of it that the kernel takes back when it is needed."""


def free_memory() -> int:
    """Bytes that this process and its children can still take: what the system has available, or
    less where a control group limits them, as a container does."""
    available: int = psutil.virtual_memory().available
    return max(0, min((available, *_left_by_groups())))


def _left_by_groups() -> Iterator[int]:
    """What each group that holds this process leaves of its limit."""
    for folder in _folders():
        for limit, used, reclaimed in _FILES:
            try:
                most, taken = int(_read(folder / limit)), int(_read(folder / used))
                stat = dict(line.split() for line in _read(folder / "memory.stat").splitlines())
            except (OSError, ValueError):  # it is of the other version, or has no limit
                continue
            yield most - taken + int(stat.get(reclaimed, 0))


def _folders() -> Iterator[Path]:
    """The folders of the groups. In a container the topmost one is its own."""
    yield from (_GROUPS, _GROUPS / "memory")
    try:
        lines = _read(_OWN).splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, kinds, path = line.split(":", 2)
        own = {"": _GROUPS, "memory": _GROUPS / "memory"}.get(kinds)
        group = Path(path.lstrip("/"))
        if own is not None:
            yield from (own / part for part in (group, *group.parents) if part != Path())


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")
