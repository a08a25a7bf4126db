"""The schema of report.json: published with the package, and strict where the toolkit owns the
keys."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from commands import Command
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from reports import as_report, rich_report
from running import Run

from compress.report.schema import schema_text
from compress.results.report import REPORT_VERSION, State

pytest_plugins = ["finished"]
SCHEMA = json.loads(schema_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def complaints(report: dict[str, Any]) -> list[str]:
    return [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in VALIDATOR.iter_errors(report)
    ]


def test_the_schema_is_one_and_is_of_the_reports_version() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["properties"]["report_version"]["const"] == REPORT_VERSION
    assert tuple(SCHEMA["properties"]["state"]["enum"]) == get_args(State)


def test_a_report_made_by_hand_is_valid() -> None:
    assert complaints(rich_report()) == []


def test_the_report_of_a_run_is_valid(given: Run) -> None:
    assert complaints(given.report) == []


def test_the_report_of_a_run_without_meters_is_valid(chain: Run) -> None:
    assert complaints(chain.report) == []


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a key is missing": lambda r: r.pop("fastest_float_engine"),
    "a key is new": lambda r: r.update(cost=1),
    "the version is another": lambda r: r.update(report_version=2),
    "a step's key is renamed": lambda r: r["steps"][1].update(
        against_previous=r["steps"][1].pop("against_parent")
    ),
    "a role is unknown": lambda r: r["steps"][1].update(role="teacher"),
    "a trait is missing": lambda r: r["steps"][1]["traits"].pop("shape"),
    "a measurement lacks its interval": lambda r: r["steps"][1]["measurements"]["size"].pop("low"),
    "a value is text": lambda r: r["steps"][1]["measurements"]["size"].update(value="10 MB"),
    "a direction is unknown": lambda r: r["steps"][1]["measurements"]["size"].update(
        direction="up"
    ),
    "a comparison is a bare number": lambda r: r["steps"][1]["against_parent"][
        "comparisons"
    ].update(speedup=2.0),
    "a curve's point lacks its interval": lambda r: r["steps"][1]["measurements"]["size"].update(
        detail={"curve": {"axis": "t", "points": [[1, 2]]}}
    ),
    "a table is flat": lambda r: r["steps"][1]["measurements"]["size"].update(
        detail={"tables": {"by class": {"PER": 1}}}
    ),
    "a finding has no text": lambda r: r["findings"][0].pop("text"),
    "a step's key is new": lambda r: r["steps"][0].update(cost=1),
    "a measurement's key is new": lambda r: r["steps"][1]["measurements"]["size"].update(cost=1),
    "a trait is new": lambda r: r["steps"][1]["traits"].update(colour="red"),
    "a shape is unknown": lambda r: r["steps"][1]["traits"].update(shape="round"),
    "a curve is null": lambda r: r["steps"][1]["measurements"]["size"].update(
        detail={"curve": None}
    ),
    "a curve's point has no place": lambda r: r["steps"][1]["measurements"]["size"].update(
        detail={"curve": {"axis": "t", "points": [[None, 1, 1, 1]]}}
    ),
    "a cell of a table is text": lambda r: r["steps"][1]["measurements"]["size"].update(
        detail={"tables": {"by class": {"PER": {"f1": "high"}}}}
    ),
    "a version is a number": lambda r: r["environment"]["versions"].update(torch=2.13),
    "the environment has no processor": lambda r: r["environment"].pop("processor"),
    "a number of seconds is text": lambda r: r["seconds"].update(making="long"),
    "an interval's end is missing": lambda r: r["steps"][2]["against_parent"]["comparisons"][
        "speedup"
    ].pop("worst"),
}
NOT_READ = CHANGES.keys() - {
    "a measurement lacks its interval",
    "an interval's end is missing",
    "a trait is missing",
}
"""Changes that make a report unreadable. What a measurement or traits may leave out in Python may
be left out where one is read too."""


@pytest.mark.parametrize("name", CHANGES)
def test_the_schema_finds_that(name: str) -> None:
    report = copy.deepcopy(rich_report())
    CHANGES[name](report)
    assert len(complaints(report)) >= 1


@pytest.mark.parametrize("name", sorted(NOT_READ))
def test_no_report_is_read_that_has(name: str) -> None:
    report = copy.deepcopy(rich_report())
    CHANGES[name](report)
    with pytest.raises(ValidationError):
        as_report(report)


def test_a_report_that_is_read_and_written_again_is_the_same() -> None:
    report = rich_report()
    report["steps"][0]["measurements"]["size"]["value"] = 100_000_000
    written = json.dumps(as_report(report).model_dump(mode="json"))
    assert written == json.dumps(json.loads(written)) and json.loads(written) == report
    assert '"value": 100000000,' in written, "a whole number stays whole"


def test_conditions_and_details_are_open() -> None:
    report = rich_report()
    report["steps"][0]["measurements"]["size"].update(
        conditions={"new": {"a": [1]}}, detail={"mine": {"b": 2}}
    )
    assert complaints(report) == []


def test_the_command_prints_the_schema(command: Command, tmp_path: Path) -> None:
    assert command("report", "--schema").value == SCHEMA
    answer = command("report")
    assert answer.code == 2 and "needs a run's folder" in answer.err
