"""GPU memory of a process: the peaks that torch's allocator kept, and the bytes that the
driver counts.

torch knows what tensors took (allocated) and what its allocator held for them (reserved).
The driver (NVML) also counts the CUDA context and libraries: hundreds of megabytes that no
allocator knows of.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from compress.meter import Probe, Sample

Peaks = dict[str, int]
"""``allocated`` and ``reserved`` bytes."""

_LOAD = "gpu load"


def note_load(probe: Probe) -> None:
    """Keep the peaks of loading in the probe's state and reset torch's. Only the first call
    does so: it comes before the model ran."""
    if _LOAD not in probe.state and why_not(probe) is None:
        probe.state[_LOAD] = peaks()
        sys.modules["torch"].cuda.reset_peak_memory_stats()


def load_peaks(probe: Probe) -> Peaks:
    """The peaks of loading that ``note_load`` kept."""
    noted: Peaks = probe.state[_LOAD]
    return noted


def peaks() -> Peaks:
    """The peaks of torch's allocator since their last reset."""
    cuda = sys.modules["torch"].cuda
    return {"allocated": cuda.max_memory_allocated(), "reserved": cuda.max_memory_reserved()}


def why_not(probe: Probe) -> str | None:
    """Why torch has no peaks of this probe; None where it has."""
    if probe.placement.device != "cuda":
        return f"the model ran on the {probe.placement.device}"
    if "torch" not in sys.modules or not peaks()["allocated"]:
        return f"the {probe.engine} engine does not say what it allocated"
    return None


def process_bytes(probe: Probe) -> Sample:
    """``counted_by_driver`` for the process of a probe."""
    return counted_by_driver(probe.placement.device)


def counted_by_driver(device: str) -> Sample:
    """``process``: the bytes on all GPUs that the driver counts for this process now;
    ``process_absent``, with the reason, where it counts none. ``device`` is where the model
    ran: ``cuda`` or ``cpu``."""
    if device != "cuda":
        return {"process_absent": f"the model ran on the {device}"}
    try:
        import pynvml
    except ImportError:
        return {"process_absent": "nvidia-ml-py is not installed; install compress-toolkit[gpu]"}
    try:
        return _counted_by(pynvml)
    except pynvml.NVMLError as error:
        return {"process_absent": f"the driver does not say: {error}"}


def _counted_by(nvml: Any) -> Sample:
    """``process`` or ``process_absent``. All GPUs are asked: CUDA_VISIBLE_DEVICES renumbers
    them for CUDA, but not for NVML."""
    nvml.nvmlInit()
    try:
        listed = []
        for index in range(nvml.nvmlDeviceGetCount()):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            listed += nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    finally:
        nvml.nvmlShutdown()
    own = [p.usedGpuMemory for p in listed if p.pid == os.getpid()]
    if not own or None in own:
        # A container numbers processes in its own way; the driver lists the host's numbers.
        return {
            "process_absent": "the driver does not list this process's memory, as in a container"
        }
    return {"process": sum(own)}
