"""Reading the files that a run has written. Anybody may have changed them since."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from compress.errors import IntegrityError, UsageError
from compress.jsonfiles import first_problem, read_object
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
    try:
        version = read_object(file).get("report_version")
    except UsageError as error:
        if isinstance(error.__cause__, OSError):  # the machine's trouble, and not the report's
            raise error.__cause__ from error
        raise IntegrityError(str(error)) from error
    if version is None:
        raise IntegrityError(f"{file} is not a report: it has no report_version")
    if version != REPORT_VERSION:
        raise UsageError(
            f"{file} is a report of version {version!s:.40}, and this reads {REPORT_VERSION}; run "
            "the recipe again with this version"
        )
