"""One side of a comparison of runs: a run's report, and what its measurement files keep."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compress.errors import UsageError
from compress.report.build import REPORT_VERSION
from compress.runfolder import RunFolder

Samples = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Kept:
    """What a step's measurement file says: the digest of the data it was measured on, each meter's origin, and the samples
    that meters kept."""

    data: str | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[str, Samples] = field(default_factory=dict)


@dataclass(frozen=True)
class Side:
    """A run: its folder as it was given, its report, and what was kept of its steps by name."""

    folder: str
    report: Mapping[str, Any]
    kept: Mapping[str, Kept] = field(default_factory=dict)


def read_side(folder: Path) -> Side:
    """The run in ``folder``. Raises UsageError where there is none, or one of another version's report."""
    place = RunFolder(folder)
    if not place.report.is_file():
        raise UsageError(f"{folder} is not a run's folder: it has no report.json")
    report = json.loads(place.report.read_text(encoding="utf-8"))
    if report.get("report_version") != REPORT_VERSION:
        raise UsageError(f"{place.report} is a report of version {report.get('report_version')}, and this reads "
                         f"{REPORT_VERSION}; run the recipe again with this version")
    files = {step["name"]: place.measured(step["name"]) for step in report["steps"]}
    return Side(str(folder), report, {name: _kept(file) for name, file in files.items() if file.is_file()})


def _kept(file: Path) -> Kept:
    values = json.loads(file.read_text(encoding="utf-8"))
    return Kept(values["of"]["data"], values["of"]["meters"], values["kept"])
