"""``size``: bytes of the artifact on disk, and its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from compress.measurement import Measurement, absent
from compress.meter import Meter, Probe, Sample

BY_FILE = "bytes by file"


class Size(Meter):
    """Bytes of all files but the manifest, together and by file; parameters of the float
    model."""

    name: ClassVar[str] = "size"
    summary: ClassVar[str] = "Bytes on disk, and parameters"
    order: ClassVar[int] = 10

    def sample(self, probe: Probe) -> Sample:
        """``files``, their bytes by name, and ``parameters``; None where the manifest does
        not count them."""
        folder, manifest = probe.artifact.folder, probe.artifact.manifest
        return {
            "files": {name: (folder / name).stat().st_size for name in sorted(manifest.files)},
            "parameters": manifest.parameters,
        }

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """``size`` and ``parameters``."""
        files = samples[0]["files"]
        table = {BY_FILE: {name: {"bytes": size} for name, size in files.items()}}
        size = Measurement(
            "size",
            sum(files.values()),
            "bytes",
            "lower",
            n=1,
            conditions={"files": len(files)},
            title="size",
            detail={"tables": table},
        )
        return [size, _parameters(samples[0]["parameters"])]


def _parameters(count: int | None) -> Measurement:
    if count is None:
        return absent(
            "parameters", "parameters", "lower", "its manifest does not count them", "parameters"
        )
    return Measurement(
        "parameters",
        count,
        "parameters",
        "lower",
        n=1,
        title="parameters",
        conditions={"counted": "in the float model, shared ones once"},
    )
