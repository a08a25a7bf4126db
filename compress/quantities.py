"""Names of the measurements and comparisons that more than one room knows.

A meter may measure anything under any name, and every view shows it. These names are special: a
budget, a finding or a picture looks for them."""

from __future__ import annotations

# Measurements of one artifact.
QUALITY = "quality"
"""The task's headline score."""
LATENCY = "latency_p50"
"""Median time of one call with one example; where answers are generated, of an answer."""
MEAN_ANSWER = "mean_answer"
"""The condition of a latency that says how many tokens the answers had on average."""
SIZE = "size"
"""Bytes on disk."""
MEMORY = "memory"
"""Peak bytes of main memory."""
GPU_MEMORY = "memory_gpu"
"""Peak bytes of GPU memory."""
NONZERO = "nonzero"
"""The share of weights that are not zero."""
BATCHED_CHANGES = "batched_changes"
"""The share of decisions that change when examples are answered in batches."""
BATCHED_DIFFERENCE = "batched_difference"
"""The largest difference of a score when examples are answered in batches. The detail's ``equal``
says whether answers in batches are those that are given alone, up to rounding."""

# Comparisons of two artifacts.
SPEEDUP = "speedup"
"""How many times faster, over all calls; both took turns."""
MEDIAN_SPEEDUP = "speedup_p50"
"""How many times faster, by the median call; both took turns."""
QUALITY_KEPT = "quality_kept"
"""The share of the other's quality, on the same examples."""
QUALITY_DIFFERENCE = "quality_difference"
"""Quality less the other's, on the same examples."""
FLIPS = "flips"
"""The share of decisions that differ."""


def difference_of(measurement: str) -> str:
    """The name of the paired comparison that judges a measurement."""
    return f"{measurement}_difference"
