"""Reading the files that a run has written. Anybody may have changed them since."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from compress.errors import IntegrityError, UsageError
from compress.measurement import Values
from compress.results.report import REPORT_VERSION, Report
from compress.store.runfolder import RunFolder


def read_report(folder: Path) -> Report:
    """The report of the run in ``folder``.

    Raises UsageError where it is not a run's folder or its report is of another version, and
    IntegrityError where ``report.json`` is not a report."""
    file = RunFolder(folder).report
    if not file.is_file():
        raise UsageError(f"{folder} is not a run's folder: it has no report.json")
    _check_version(file)
    try:
        return Report.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise IntegrityError(
            f"{file} is not a whole report: {first_problem(error)}; the run's own command writes "
            "it again"
        ) from error


def _check_version(file: Path) -> None:
    """Raise unless the report has this version. It is checked first: a report of another version
    may have other keys."""
    version = read_mapping(file).get("report_version")
    if version is None:
        raise IntegrityError(f"{file} is not a report: it has no report_version")
    if version != REPORT_VERSION:
        raise UsageError(
            f"{file} is a report of version {version}, and this reads {REPORT_VERSION}; run the "
            "recipe again with this version"
        )


def read_mapping(file: Path) -> Values:
    """The JSON object in a file. Raises IntegrityError where it holds anything else."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except ValueError as error:
        raise IntegrityError(f"{file} cannot be read as JSON: {error}") from error
    except RecursionError as error:
        raise IntegrityError(f"{file} cannot be read as JSON: it is nested too deeply") from error
    if not isinstance(values, dict):
        raise IntegrityError(f"{file} holds a {type(values).__name__} where an object is expected")
    return values


def _refuse_constant(name: str) -> None:
    """Refuse NaN and infinities. Python reads them, but JSON does not have them."""
    raise ValueError(f"it holds {name}, which is no number of JSON")


def first_problem(error: ValidationError) -> str:
    """The first problem in one line: where it is, and what is wrong there."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {' '.join(first['msg'].split())}"
