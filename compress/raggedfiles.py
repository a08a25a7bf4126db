"""Arrays in files that hold a different number of lines for each example. They are written and read
batch by batch, so that neither needs memory for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

PLACES = ".places.npy"
"""How the name of the file ends that says where each example's lines are."""


class RaggedWriter:
    """Writes ``NAME.npy``, [lines, width], and ``NAME.places.npy``, int64 [examples, 2]: the first
    line of each example, and the number of its lines.

    A context manager: the files are complete when its block has ended."""

    def __init__(self, folder: Path, name: str, examples: int) -> None:
        self._file: BinaryIO = (folder / f"{name}.npy").open("wb")
        self._places_file = folder / f"{name}{PLACES}"
        self._places = np.zeros((examples, 2), dtype=np.int64)
        self._lines, self._empty = 0, np.zeros((0, 0), dtype=np.float32)

    def __enter__(self) -> RaggedWriter:
        return self

    def add(self, examples: Sequence[int], counts: Sequence[int], lines: np.ndarray) -> None:
        """Add the ``lines`` [n, width] of some ``examples``, one after the other, with their
        ``counts``. Width and dtype are those of the first call."""
        if self._file.tell() == 0:
            self._empty = lines[:0]
            self._write_header()
        ends = self._lines + np.cumsum(counts)
        self._places[examples, 0] = ends - counts
        self._places[examples, 1] = counts
        self._file.write(np.ascontiguousarray(lines).tobytes())
        self._lines += len(lines)

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                self._write_header()
                np.save(self._places_file, self._places)

    def _write_header(self) -> None:
        """numpy leaves room in the header for a first axis that grows: the last header has the
        length of the first."""
        self._file.seek(0)
        shape = (self._lines, self._empty.shape[1])
        descr = npy.dtype_to_descr(self._empty.dtype)
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(self._file, header)


class RaggedFile:
    """What a ``RaggedWriter`` wrote. Only what is asked for is read. The file is not mapped into
    memory: pages that were read would count as the process's memory."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = (folder / f"{name}.npy").open("rb", buffering=0)
        npy.read_magic(self._file)
        shape, _, self._dtype = npy.read_array_header_1_0(self._file)
        self._first, self._width = self._file.tell(), shape[1]
        self._places = np.load(folder / f"{name}{PLACES}", allow_pickle=False)

    def counts(self, examples: Sequence[int]) -> list[int]:
        """The number of lines of each of some examples."""
        counts: list[int] = self._places[list(examples), 1].tolist()
        return counts

    def lines(self, examples: Sequence[int]) -> np.ndarray:
        """The lines of some examples, one after the other, [n, width]."""
        places, line = self._places[list(examples)], self._width * self._dtype.itemsize
        count = int(places[:, 1].sum())
        content = memoryview(bytearray(count * line))
        done = 0
        for start, size in (places * line).tolist():
            self._file.seek(self._first + start)
            done += self._file.readinto(content[done : done + size])
        return np.frombuffer(content, dtype=self._dtype).reshape(count, self._width)
