"""Sums over stored tensors: elements and bytes by dtype, and how many weights are not zero.
No torch."""

from __future__ import annotations

import numpy as np

ZERO_POINT, QUANTIZED = "_zero_point", "_quantized"
"""Ends of the names that ONNX Runtime's quantizer gives to a weight's zero point, the
integer that stands for 0, and to the weight itself."""

_CHUNK = 1 << 22


class Stored:
    """A running sum over tensors. ``dtypes`` maps a dtype to ``elements`` and ``bytes``.

    Weights are tensors of floats and of 8-bit integers, but not zero points. A zero point
    may come after its weight, so the distribution of values of each 8-bit weight is
    kept."""

    def __init__(self) -> None:
        self.dtypes: dict[str, dict[str, int]] = {}
        self._weights = 0
        self._nonzero = 0
        self._bytes: dict[str, np.ndarray] = {}
        self._zeros: dict[str, int | None] = {}

    def add(self, name: str, values: np.ndarray) -> None:
        """Count one tensor."""
        row = self.dtypes.setdefault(str(values.dtype), {"elements": 0, "bytes": 0})
        row["elements"] += values.size
        row["bytes"] += values.nbytes
        if name.endswith(ZERO_POINT):
            zeros = np.unique(values)
            self._zeros[name.removesuffix(ZERO_POINT)] = int(zeros[0]) if len(zeros) == 1 else None
        elif values.dtype in (np.int8, np.uint8):
            self._bytes[name] = _distribution(values)
        elif values.dtype.kind in "fV":  # ml_dtypes' floats are V
            self._weights += values.size
            self._nonzero += int(np.count_nonzero(values))

    def share(self) -> float | None:
        """The share of weights that are not zero; None without weights. Zero in an integer
        weight is its zero point."""
        weights, nonzero = self._weights, self._nonzero
        for name, distribution in self._bytes.items():
            count = int(distribution.sum())
            weights += count
            # & 0xFF: int8 values are counted as the bytes that hold them, -1 as 255.
            nonzero += count - int(distribution[self._zero(name) & 0xFF])
        return nonzero / weights if weights else None

    def unresolved(self) -> int:
        """Number of integer tensors with several zero points, for which 0 counts as
        zero."""
        return sum(self._zeros.get(name.removesuffix(QUANTIZED), 0) is None for name in self._bytes)

    def _zero(self, name: str) -> int:
        return self._zeros.get(name.removesuffix(QUANTIZED)) or 0


def _distribution(values: np.ndarray) -> np.ndarray:
    """How often each byte occurs in ``values``, int64 [256]. Counted in pieces: bincount
    makes an int64 copy, of eight times their memory."""
    counts, flat = np.zeros(256, dtype=np.int64), values.reshape(-1).view(np.uint8)
    for start in range(0, len(flat), _CHUNK):
        counts += np.bincount(flat[start : start + _CHUNK], minlength=256)
    return counts
