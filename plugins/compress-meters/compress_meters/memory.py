"""``memory``: what loading and running the model adds to the process at its peak."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from compress.measurement import Measurement, absent
from compress.meter import Meter, Probe, Sample
from compress.predict import length_batches
from compress_meters.conditions import NO_TEST_ROWS, conditions

BATCH = 32
STATUS = Path("/proc/self/status")


class Memory(Meter):
    """Peak resident bytes of the process above what it held before the model was loaded, and on a GPU the peak of the
    bytes that torch allocated. Comes before the meters that keep answers and timings."""

    name: ClassVar[str] = "memory"
    summary: ClassVar[str] = "Peak memory of loading the model and running a batch of the longest examples"
    order: ClassVar[int] = 20

    def sample(self, probe: Probe) -> Sample:
        """``host`` and ``gpu`` bytes, or ``host_absent`` and ``gpu_absent`` with the reason."""
        if not probe.features:
            return {"host_absent": NO_TEST_ROWS, "gpu_absent": NO_TEST_ROWS}
        longest = [probe.features[i] for i in length_batches(probe.task, probe.features, BATCH)[0]]
        probe.session.run(probe.task.collate(longest, probe.processor))
        return {**_host(probe), **_gpu(probe), "conditions": conditions(probe, longest, len(longest))}

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """``memory`` and ``memory_gpu``, each with its reason where it is absent."""
        return [_measurement(samples[0], "memory", "host", "memory"), _measurement(samples[0], "memory_gpu", "gpu", "")]


def _host(probe: Probe) -> dict[str, Any]:
    if not STATUS.is_file():
        return {"host_absent": f"the peak of resident memory is read from {STATUS}, which this system does not have"}
    line = next(s for s in STATUS.read_text(encoding="ascii").splitlines() if s.startswith("VmHWM:"))
    return {"host": int(line.split()[1]) * 1024 - probe.host_memory["before_load"]}


def _gpu(probe: Probe) -> dict[str, Any]:
    if probe.placement.device != "cuda":
        return {"gpu_absent": f"the model ran on the {probe.placement.device}"}
    torch = sys.modules.get("torch")
    if torch is None:
        return {"gpu_absent": f"the {probe.engine} engine does not say what it allocated"}
    return {"gpu": torch.cuda.max_memory_allocated()}


def _measurement(sample: Sample, name: str, key: str, title: str) -> Measurement:
    if key not in sample:
        return absent(name, "bytes", "lower", sample[f"{key}_absent"], title)
    return Measurement(name, sample[key], "bytes", "lower", n=1, conditions=sample["conditions"], title=title)
