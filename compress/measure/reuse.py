"""Measurement files of a run, and when one is good enough to be used again instead of measuring."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from compress.errors import IntegrityError
from compress.machine import TimingEnvironment, timing_environment, versions
from compress.measurement import Measured
from compress.meter import Effort
from compress.registry.models import ModelOrigins, all_model_origins
from compress.registry.plugins import Registry
from compress.store.files import read_sealed, write_sealed

EngineVersions = Sequence[str | Mapping[str, str]]
"""The origin of an engine's plugin, and the versions of its packages."""


@dataclass(frozen=True)
class MeasuringConditions:
    """All that measurements depend on.

    - ``artifact`` and ``data``: their digests; None for measurements without data.
    - ``others``: the digests of the artifacts that took turns, by name.
    - ``task``: distribution and version of the task's plugin.
    - ``meters``: the same of each meter's plugin, by the meter's name.
    - ``models``: the same of each plugin that brings models.
    """

    effort: Effort
    artifact: str
    others: Mapping[str, str]
    data: str | None
    machine: TimingEnvironment
    task: str
    meters: Mapping[str, str]
    engines: Mapping[str, EngineVersions]
    models: ModelOrigins

    def only_with(self, names: Collection[str]) -> MeasuringConditions:
        """The same without the others that are not among ``names``."""
        others = {name: digest for name, digest in self.others.items() if name in names}
        return replace(self, others=others)


def conditions_of(
    artifact: str,
    others: Mapping[str, str],
    data: str | None,
    task: str,
    effort: Effort,
    registry: Registry,
) -> MeasuringConditions:
    """The conditions of measuring an artifact now, on this machine, with the installed plugins."""
    engines: dict[str, EngineVersions] = {
        name: [entry.origin, versions(entry.cls.packages)]
        for name, entry in registry.engines.items()
    }
    return MeasuringConditions(
        effort=effort,
        artifact=artifact,
        others=dict(others),
        data=data,
        machine=timing_environment(),
        task=task,
        meters=registry.origins("meters"),
        engines=engines,
        models=all_model_origins(registry),
    )


@dataclass(frozen=True)
class MeasurementFile:
    """The content of a run's file of measurements: what was measured, and under which
    conditions."""

    conditions: MeasuringConditions
    measured: Measured

    def write(self, file: Path) -> None:
        """Write it whole or not at all."""
        write_sealed(file, {"of": asdict(self.conditions), **self.measured.as_dict()})

    @classmethod
    def read(cls, file: Path) -> MeasurementFile | None:
        """The content of ``file``; None if there is no such file. Raises IntegrityError for a file
        that is not as it was written."""
        if not file.is_file():
            return None
        values = read_sealed(file)
        try:
            conditions = MeasuringConditions(**values["of"])
            if not isinstance(conditions.others, dict):
                raise TypeError("others is no object")
            return cls(conditions, Measured.from_dict(values))
        except (KeyError, TypeError, AttributeError) as error:
            raise IntegrityError(f"{file} is not a run's file of measurements") from error


def read_reusable(file: Path, conditions: MeasuringConditions) -> Measured | None:
    """The measurements in ``file`` if they were taken under these conditions, else None. Raises
    IntegrityError for a file that is not as it was written.

    More others may have taken turns than are asked for. A step that was measured before the
    reference existed is measured again beside it, and its file then has both."""
    earlier = MeasurementFile.read(file)
    if earlier is None or earlier.conditions.only_with(conditions.others) != conditions:
        return None
    return earlier.measured


def copy_unless_equal(source: Path, target: Path) -> None:
    """Copy ``source`` to ``target`` unless both were measured under equal conditions. The others
    that took turns may differ."""
    # A target of equal conditions may hold more comparisons: it is written again when a reference
    # is made later.
    if _conditions_alone(source) != _conditions_alone(target):
        shutil.copyfile(source, target)


def _conditions_alone(file: Path) -> MeasuringConditions | None:
    """A file's conditions without the others that took turns; None if it is missing or broken."""
    try:
        content = MeasurementFile.read(file)
    except IntegrityError:
        return None
    return content.conditions.only_with(()) if content else None
