"""``size``: what the artifact takes on disk, its parameters, and how long it took to load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from compress.measurement import Measurement, absent
from compress.meter import Meter, Probe, Sample


class Size(Meter):
    """Bytes of all files but the manifest; parameters of the float model; seconds to open it in its engine."""

    name: ClassVar[str] = "size"
    summary: ClassVar[str] = "Bytes on disk, parameters, seconds to load"
    order: ClassVar[int] = 10

    def sample(self, probe: Probe) -> Sample:
        """``bytes``, ``parameters`` (None where the manifest does not say) and ``load_seconds``."""
        folder, manifest = probe.artifact.folder, probe.artifact.manifest
        return {"bytes": sum((folder / name).stat().st_size for name in manifest.files), "files": len(manifest.files),
                "parameters": manifest.parameters, "load_seconds": probe.load_seconds,
                "engine": {"engine": probe.engine, "device": probe.placement.device, "threads": probe.placement.threads}}

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """``size``, ``parameters`` and ``load_seconds``."""
        sample = samples[0]
        return [
            Measurement("size", sample["bytes"], "bytes", "lower", n=1, conditions={"files": sample["files"]}, title="size"),
            _parameters(sample["parameters"]),
            Measurement("load_seconds", sample["load_seconds"], "s", "lower", n=1, conditions=sample["engine"]),
        ]


def _parameters(count: int | None) -> Measurement:
    if count is None:
        return absent("parameters", "parameters", "lower", "its manifest does not count them", "parameters")
    return Measurement("parameters", count, "parameters", "lower", n=1, title="parameters",
                       conditions={"counted": "in the float model, shared ones once"})
