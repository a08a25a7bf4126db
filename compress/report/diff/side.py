"""One of two runs that are compared: its report, and the samples in its files of measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from compress.errors import IntegrityError
from compress.jsonfiles import first_problem
from compress.meter import Sample
from compress.report.reading import read_report
from compress.results.report import Report
from compress.store.files import read_sealed
from compress.store.runfolder import RunFolder


@dataclass(frozen=True)
class Kept:
    """The content of a step's file of measurements: the origin of each meter, and the samples that
    meters kept."""

    origins: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict)


@dataclass(frozen=True)
class Side:
    """A run: its folder as the user wrote it, its report, and the kept samples by step."""

    folder: str
    report: Report
    kept: Mapping[str, Kept] = field(default_factory=dict)

    def kept_of(self, name: str) -> Kept:
        """The kept samples of a step; empty where it has none."""
        return self.kept.get(name, Kept())


def read_side(folder: Path) -> Side:
    """The run in ``folder``. Raises as ``read_report`` does, and IntegrityError for a broken file
    of measurements."""
    report, place = read_report(folder), RunFolder(folder)
    files = {step.name: place.measured(step.name) for step in report.steps}
    kept = {name: _kept(file) for name, file in files.items() if file.is_file()}
    return Side(str(folder), report, kept)


class _Origin(BaseModel):
    """What the measurements are of, as far as it is read here."""

    model_config = ConfigDict(strict=True)

    meters: dict[str, str]


class _MeasuredFile(BaseModel):
    """A step's file of measurements, as far as it is read here."""

    model_config = ConfigDict(strict=True)

    of: _Origin
    kept: dict[str, list[dict[str, Any]]]


def _kept(file: Path) -> Kept:
    try:
        values = _MeasuredFile.model_validate(read_sealed(file))
    except ValidationError as error:
        raise IntegrityError(
            f"{file} is not a run's file of measurements: {first_problem(error)}; the run's own "
            "command writes it again once it is deleted"
        ) from error
    return Kept(values.of.meters, values.kept)
