"""When two sizes count as equal. Quantities with intervals are judged by these instead."""

from __future__ import annotations

from compress.quantities import GPU_MEMORY, MEMORY, SIZE

TOLERANCES = {SIZE: 0.005, MEMORY: 0.02, GPU_MEMORY: 0.02}
"""Values that differ by less than this share are called equal. A config file alone changes the size
on disk, and two loads of one model differ in memory."""


def is_equal(name: str, quotient: float) -> bool:
    """Whether the quotient of two values of a measurement counts as no difference."""
    return abs(quotient - 1) <= TOLERANCES.get(name, 0.0)
