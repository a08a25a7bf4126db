"""Reading what a run has written, by one who cannot know who has changed it since."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from compress.errors import IntegrityError, UsageError
from compress.report.build import REPORT_VERSION
from compress.report.views.writing import schema_text
from compress.store.runfolder import RunFolder


def read_report(folder: Path) -> dict[str, Any]:
    """The report of the run in ``folder``.

    Raises UsageError where the folder is no run's or its report is of another version,
    IntegrityError where ``report.json`` is no report."""
    file = RunFolder(folder).report
    if not file.is_file():
        raise UsageError(f"{folder} is not a run's folder: it has no report.json")
    report = read_mapping(file)
    version = report.get("report_version")
    if version is None:
        raise IntegrityError(f"{file} is not a report: it has no report_version")
    if version != REPORT_VERSION:
        raise UsageError(
            f"{file} is a report of version {version}, and this reads {REPORT_VERSION}; run the "
            "recipe again "
            "with this version"
        )
    missing = _missing(report)
    if missing:
        raise IntegrityError(
            f"{file} is not a whole report: it lacks {missing}; the run's own command writes it "
            "again"
        )
    return report


def read_mapping(file: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises IntegrityError where it holds anything else."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise IntegrityError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(values, dict):
        raise IntegrityError(f"{file} holds a {type(values).__name__} where an object is expected")
    return values


def _missing(report: dict[str, Any]) -> str:
    """The first key that the report or a step of it must have and has not; empty where it has
    all."""
    top, of_step = _required()
    if not isinstance(report.get("steps"), list):
        return "a list of steps"
    for number, step in enumerate(report["steps"], start=1):
        if not isinstance(step, dict):
            return f"step {number}"
        if not of_step <= step.keys():
            return f"{min(of_step - step.keys())!r} in step {number}"
    return repr(min(top - report.keys())) if not top <= report.keys() else ""


@cache
def _required() -> tuple[frozenset[str], frozenset[str]]:
    """The keys that the schema asks of a report, and of each of its steps."""
    schema = json.loads(schema_text())
    return frozenset(schema["required"]), frozenset(schema["$defs"]["step"]["required"])
