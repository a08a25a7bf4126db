"""The pages of libraries that a process has mapped, so that a forked process has them too.

A fork copies what a process wrote, but not which pages of files it had touched. They would come
into a forked worker one by one, while it loads and runs its model, and count as the model's
memory. So the worker maps them all first, and has then what a fresh process has after its imports.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_MADV_POPULATE_READ = 22
"""``madvise``'s number for it, in Linux's <asm-generic/mman-common.h>, since Linux 5.14."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PRESENT = np.uint64(1 << 63)
"""The bit of a page that is in memory (``man 5 proc``, pagemap)."""


@dataclass(frozen=True)
class MappedFiles:
    """Runs of pages of files, each (address, bytes), that are mapped and in memory."""

    runs: tuple[tuple[int, int], ...]

    @classmethod
    def of_this_process(cls) -> MappedFiles:
        """Those of this process. Linux only."""
        runs: list[tuple[int, int]] = []
        with Path("/proc/self/pagemap").open("rb", buffering=0) as pages:
            for start, end in _file_mappings():
                pages.seek(start // _PAGE * 8)
                entries = np.frombuffer(pages.read((end - start) // _PAGE * 8), dtype=np.uint64)
                runs += _runs(start, entries & _PRESENT != 0)
        return cls(tuple(runs))

    def map(self) -> None:
        """Map them in this process, which was forked from that one. Raises OSError if the system
        cannot do that."""
        libc = ctypes.CDLL(None, use_errno=True)
        for start, size in self.runs:
            address, length = ctypes.c_void_p(start), ctypes.c_size_t(size)
            if libc.madvise(address, length, _MADV_POPULATE_READ) != 0:
                raise OSError(ctypes.get_errno(), "madvise: MADV_POPULATE_READ")


def _file_mappings() -> Iterator[tuple[int, int]]:
    """(start, end) of each mapping of a file that can be read. Fields are those of ``man 5 proc``,
    maps."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        addresses, permissions, _, _, inode, *_ = line.split(maxsplit=5)
        if inode != "0" and permissions.startswith("r"):
            start, _, end = addresses.partition("-")
            yield int(start, 16), int(end, 16)


def _runs(start: int, present: np.ndarray) -> Iterator[tuple[int, int]]:
    """(address, bytes) of each run of true values in ``present`` [pages], the pages from
    ``start``."""
    edges = np.flatnonzero(np.diff(present.astype(np.int8), prepend=0, append=0))
    for first, last in edges.reshape(-1, 2).tolist():
        yield start + first * _PAGE, (last - first) * _PAGE
