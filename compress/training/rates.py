"""The learning rate of each step, as a share of the peak. No torch."""

from __future__ import annotations

import math


def rate_at(step: int, steps: int, warmup: float) -> float:
    """The share of the peak rate at ``step``, 0 to ``steps`` - 1: above 0, at most 1, and 1 at one
    step at least.

    It rises in a straight line for the share ``warmup`` of the steps, rounded up, and then falls
    in a straight line. The lines would reach 0 one step before the first and one after the last,
    so that no step is lost. transformers' schedule begins at 0: its first step changes nothing,
    and neither does a training of one step."""
    rising = min(math.ceil(steps * warmup), steps - 1)
    if step < rising:
        return (step + 1) / (rising + 1)
    # Trainer asks once more after the last step.
    return max(0, steps - step) / (steps - rising)
