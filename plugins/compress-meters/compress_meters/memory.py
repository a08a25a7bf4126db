"""``memory``: bytes that loading and running the model add to the process at its peak."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from compress.generation import Limits
from compress.machine import peak_memory
from compress.measurement import Measurement, absent
from compress.meter import Meter, Probe, Sample
from compress.predict import length_batches
from compress_meters import gpu
from compress_meters.calls import cannot_write, generated, run_once, writes
from compress_meters.conditions import no_rows, run_by

BATCH = 32
_FREED = 1 << 20
"""Bytes by which a peak may be above the resident memory right after its reset."""
BY_PHASE = "GPU bytes by phase"


class Memory(Meter):
    """Peak resident bytes of the process, less those that it held before the model was
    loaded.

    On a GPU also the peaks of the bytes that torch allocated and reserved, for loading and
    for inference, and the bytes of the process as the driver counts them. Where answers are
    generated, they are the longest that the task allows. It is measured before the meters that
    keep answers and timings in memory."""

    name: ClassVar[str] = "memory"
    summary: ClassVar[str] = (
        "Peak memory of loading the model and running a batch of the longest examples"
    )
    order: ClassVar[int] = 20

    def sample(self, probe: Probe) -> Sample:
        """``host`` and ``process`` bytes and the ``gpu``'s by phase; ``..._absent``, with
        the reason, for each that cannot be measured."""
        why = cannot_write(probe) if probe.features else no_rows(probe)
        if why:
            return {f"{key}_absent": why for key in ("host", "gpu", "process")}
        gpu.note_load(probe)
        # The fullest batch, and of these the longest: a long example may have no companion.
        places = max(length_batches(probe.task, probe.features, BATCH), key=len)
        longest = [probe.features[i] for i in places]
        limits = _longest(probe.task.limits()) if writes(probe) else None
        run_once(probe, longest, limits)()
        return {
            **_host(probe),
            **_gpu(probe),
            **gpu.process_bytes(probe),
            "conditions": {
                **run_by(probe),
                "batch": len(longest),
                "examples": len(longest),
                "mean_length": round(float(np.mean(list(map(probe.task.length, longest)))), 1),
                **(generated(limits) if limits else {}),
            },
        }

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """``memory``, ``memory_gpu`` (the highest of the phases) and
        ``memory_gpu_process``."""
        return [
            _measurement(samples[0], "memory", "host", "memory"),
            _phases(samples[0]),
            _measurement(samples[0], "memory_gpu_process", "process", ""),
        ]


def _longest(limits: Limits) -> Limits:
    """Answers as long as the limits allow: the keys and values of each token count."""
    return limits.model_copy(update={"min_new_tokens": limits.max_new_tokens})


def _host(probe: Probe) -> Sample:
    """``host``; ``host_absent`` where the system does not count peaks, or an earlier peak
    of the process hides that of the model."""
    peak = peak_memory()
    earlier, held = probe.host_memory["peak_before_load"], probe.host_memory["before_load"]
    if peak is None or earlier is None or held is None:
        return {"host_absent": "this system does not say what a process held at its peak"}
    if peak <= earlier and earlier > held + _FREED:
        why = "the peak of resident memory cannot be reset here, and an earlier one was higher"
        return {"host_absent": why}
    return {"host": peak - held}


def _gpu(probe: Probe) -> Sample:
    why = gpu.why_not(probe)
    if why:
        return {"gpu_absent": why}
    return {"gpu": {"load": gpu.load_peaks(probe), "inference": gpu.peaks()}}


def _phases(sample: Sample) -> Measurement:
    if "gpu" not in sample:
        return absent("memory_gpu", "bytes", "lower", sample["gpu_absent"])
    return Measurement(
        "memory_gpu",
        max(p["allocated"] for p in sample["gpu"].values()),
        "bytes",
        "lower",
        n=1,
        conditions={**sample["conditions"], "counted": "allocated by torch"},
        title="GPU memory",
        detail={"tables": {BY_PHASE: sample["gpu"]}},
    )


def _measurement(sample: Sample, name: str, key: str, title: str) -> Measurement:
    if key not in sample:
        return absent(name, "bytes", "lower", sample[f"{key}_absent"], title)
    return Measurement(
        name, sample[key], "bytes", "lower", n=1, conditions=sample["conditions"], title=title
    )
