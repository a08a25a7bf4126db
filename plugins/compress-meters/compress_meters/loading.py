"""``loading``: the time until a model answers for the first time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from compress.measurement import Measurement, absent
from compress.meter import Meter, Probe, Sample
from compress_meters import gpu
from compress_meters.calls import cannot_write, of_model_stated, run_once
from compress_meters.conditions import conditions, no_rows, parts_at, places, run_by


class Loading(Meter):
    """Seconds to open the artifact in its engine, without the engine's import, and
    milliseconds of the first call. It is measured before any other meter runs the model."""

    name: ClassVar[str] = "loading"
    summary: ClassVar[str] = "Seconds to load, and milliseconds of the first call"
    order: ClassVar[int] = 0

    def sample(self, probe: Probe) -> Sample:
        """``load_seconds``, and ``first_call`` in ms; ``absent`` where there is no
        example."""
        loaded = {
            "load_seconds": probe.load_seconds,
            "engine": {**run_by(probe), "files": "read just before, to be verified"},
        }
        gpu.note_load(probe)
        why = cannot_write(probe) if probe.features else no_rows(probe)
        if why:
            return {**loaded, "absent": why}
        some = places(probe, 1)
        call = run_once(probe, parts_at(probe, some)[:1])
        start = time.perf_counter_ns()
        call()
        milliseconds = (time.perf_counter_ns() - start) / 1e6
        stated = {**conditions(probe, some, 1), **of_model_stated(probe), "clock": "host"}
        return {**loaded, "first_call": milliseconds, "conditions": stated}

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """``load_seconds`` and ``first_call``."""
        sample = samples[0]
        load = Measurement(
            "load_seconds", sample["load_seconds"], "s", "lower", n=1, conditions=sample["engine"]
        )
        if "absent" in sample:
            return [load, absent("first_call", "ms", "lower", sample["absent"])]
        stated, milliseconds = sample["conditions"], sample["first_call"]
        return [
            load,
            Measurement("first_call", milliseconds, "ms", "lower", n=1, conditions=stated),
        ]
