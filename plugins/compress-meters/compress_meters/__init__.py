"""The meters: quality, speed, memory, loading, size, and what a model is made of.

Nothing here needs torch to turn samples into numbers."""

from __future__ import annotations

from compress import hookimpl
from compress.meter import Meter
from compress_meters.anatomy import Anatomy
from compress_meters.cache import Cache
from compress_meters.curves import (
    LatencyByLength,
    LatencyByLengthFromText,
    ThroughputByBatch,
    ThroughputByBatchFromText,
)
from compress_meters.loading import Loading
from compress_meters.memory import Memory
from compress_meters.quality import Quality
from compress_meters.size import Size
from compress_meters.speed import FromText, Latency, Throughput, ThroughputFromText
from compress_meters.writing import BatchedGeneration, Generation


@hookimpl
def compress_meters() -> list[type[Meter]]:
    """The meters of this plugin."""
    return [
        Loading,
        Size,
        Memory,
        Latency,
        FromText,
        LatencyByLength,
        LatencyByLengthFromText,
        Generation,
        Throughput,
        ThroughputFromText,
        ThroughputByBatch,
        ThroughputByBatchFromText,
        BatchedGeneration,
        Quality,
        Cache,
        Anatomy,
    ]
