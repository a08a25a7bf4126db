"""``cache``: bytes of keys and values that a model keeps for each token while it writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from compress.measurement import Measurement, absent
from compress.meter import Meter, Probe, Sample
from compress.session import cache_bytes
from compress.task import Task
from compress_meters.conditions import run_by

NAME, SOURCE = "cache_token", "cache_source_token"


class Cache(Meter):
    """Bytes that each token of one sequence adds to what the engine keeps. Beams, and the
    sequences of a batch, have as many each."""

    name: ClassVar[str] = "cache"
    summary: ClassVar[str] = "Bytes of keys and values for each token of a sequence"
    order: ClassVar[int] = 80

    @classmethod
    def measures(cls, task: type[Task[Any]]) -> bool:
        """A task whose answers are generated."""
        return task.generates()

    def sample(self, probe: Probe) -> Sample:
        """``token`` and ``source`` bytes, or ``absent``."""
        counted = cache_bytes(probe.session)
        if counted is None:
            return {"absent": f"the {probe.engine} engine does not say what it keeps of this model"}
        return {"token": counted.token, "source": counted.source, "conditions": run_by(probe)}

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """``cache_token``, and ``cache_source_token`` of a model with an encoder: bytes for each
        token that the encoder reads."""
        sample = samples[0]
        if "absent" in sample:
            return [absent(NAME, "bytes", "lower", sample["absent"])]
        stated = {**sample["conditions"], "counted": "keys and values of one sequence"}
        token = Measurement(NAME, sample["token"], "bytes", "lower", n=1, conditions=stated)
        if not sample["source"]:
            return [token]
        source = Measurement(SOURCE, sample["source"], "bytes", "lower", n=1, conditions=stated)
        return [token, source]
