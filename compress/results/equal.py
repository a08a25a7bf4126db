"""When two values count as equal, and how a factor between them is written. Quantities with
intervals are judged by these instead."""

from __future__ import annotations

from compress.quantities import GPU_MEMORY, MEMORY, SIZE

TOLERANCES = {SIZE: 0.005, MEMORY: 0.02, GPU_MEMORY: 0.02}
"""Values that differ by less than this share are called equal. A config file alone changes the size
on disk, and two loads of one model differ in memory."""


def is_equal(name: str, quotient: float) -> bool:
    """Whether the quotient of two values of a measurement counts as no difference."""
    return abs(quotient - 1) <= TOLERANCES.get(name, 0.0)


def is_smaller(name: str, quotient: float) -> bool:
    """Whether the first of two values of a measurement counts as smaller."""
    return quotient < 1 and not is_equal(name, quotient)


def factor(value: float) -> str:
    """A factor with enough digits to differ from 1: ``1.02x``, ``4.0x``."""
    return f"{value:.1f}x" if value >= 1.95 else f"{value:.2f}x"
