"""The meters: quality, latency, throughput, memory and size. Nothing here needs torch to turn samples into numbers."""

from __future__ import annotations

from compress import hookimpl
from compress.meter import Meter
from compress_meters.memory import Memory
from compress_meters.quality import Quality
from compress_meters.size import Size
from compress_meters.timing import Latency, Throughput


@hookimpl
def compress_meters() -> list[type[Meter]]:
    """The meters of this plugin."""
    return [Size, Memory, Latency, Throughput, Quality]
