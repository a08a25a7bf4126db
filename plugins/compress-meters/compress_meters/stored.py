"""Stored tensors added up: elements and bytes by dtype, and how many weights are not zero. No
torch."""

from __future__ import annotations

import numpy as np

ZERO_POINT, QUANTIZED = "_zero_point", "_quantized"
"""How ONNX Runtime's quantizer names the integer that stands for 0 in a weight, and the weight
itself."""

_CHUNK = 1 << 22


class Stored:
    """A running sum over tensors. ``dtypes`` maps a dtype to ``elements`` and ``bytes``.

    Weights are tensors of floats and of 8-bit integers, without zero points. A zero point may come
    after its weight, so of 8-bit integers the distribution of values is kept."""

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
            found = np.unique(values)
            self._zeros[name.removesuffix(ZERO_POINT)] = int(found[0]) if len(found) == 1 else None
        elif values.dtype in (np.int8, np.uint8):
            self._bytes[name] = _distribution(values)
        elif values.dtype.kind in "fV":  # ml_dtypes' floats are V
            self._weights += values.size
            self._nonzero += int(np.count_nonzero(values))

    def share(self) -> float | None:
        """The share of weights that are not zero, where zero is an integer weight's zero point;
        None without weights."""
        weights = self._weights + sum(int(d.sum()) for d in self._bytes.values())
        nonzero = self._nonzero + sum(
            int(d.sum() - d[self._zero(name) & 0xFF]) for name, d in self._bytes.items()
        )
        return nonzero / weights if weights else None

    def unresolved(self) -> int:
        """How many integer tensors have several zero points, so that 0 was taken for zero."""
        return sum(self._zeros.get(name.removesuffix(QUANTIZED), 0) is None for name in self._bytes)

    def _zero(self, name: str) -> int:
        return self._zeros.get(name.removesuffix(QUANTIZED)) or 0


def _distribution(values: np.ndarray) -> np.ndarray:
    """How often each byte occurs in ``values``, [256]; in pieces, for counting takes eight times
    their memory."""
    found, flat = np.zeros(256, dtype=np.int64), values.reshape(-1).view(np.uint8)
    for start in range(0, len(flat), _CHUNK):
        found += np.bincount(flat[start : start + _CHUNK], minlength=256)
    return found
