"""Reading reports that anybody may have changed: a line for what is wrong, and never a
traceback."""

from __future__ import annotations

import copy
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reports import as_report, held_report
from rich.console import Console

from compress.errors import IntegrityError, UsageError
from compress.report.diff.compare import compare_runs
from compress.report.diff.side import Side
from compress.report.diff.views import diff_page, print_diff
from compress.report.reading import read_report
from compress.report.views.card import card, deployable
from compress.report.views.markdown import markdown
from compress.report.views.page import page
from compress.report.views.terminal import print_report
from compress.results.report import Report

Place = tuple[str | int, ...]

MISSING = object()
WRONG = (
    MISSING,
    None,
    True,
    -1,
    10**400,
    1e300,
    float("nan"),
    float("inf"),
    "x",
    "3",
    [],
    [[1]],
    ["a", 2],
    {},
    {"x": {"y": [1]}},
    "\ud800",
)
"""Values that a report has nowhere, or not where they are put."""
FREE = {"options", "conditions", "detail", "environment"}
"""Parts whose values recipes, plugins or the machine choose."""
MUTATIONS = 150


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """The place of each value in nested JSON-ready values, as keys and indices."""
    if place:
        yield place
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*place, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from places(part, (*place, index))


def mutated(values: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    """The values with another value at a place, or without it."""
    changed = copy.deepcopy(values)
    holder: Any = changed
    for key in place[:-1]:
        holder = holder[key]
    if value is MISSING:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    return changed


def show_everywhere(report: Report) -> None:
    """Make every view of a report, and its difference from itself."""
    page(report)
    assert markdown(report) and [card(step, report) for step in deployable(report)]
    console = Console(file=io.StringIO(), width=80)
    print_report(report, console)
    side = Side("run", report)
    difference = compare_runs(side, side, {})
    print_diff(difference, console)
    assert diff_page(difference)


def read(values: dict[str, Any], folder: Path) -> Report | str:
    """The report that these values are, or the line that says why they are none."""
    text = json.dumps(values).encode("utf-8")
    (folder / "report.json").write_bytes(text)
    try:
        return read_report(folder)
    except (IntegrityError, UsageError) as error:
        assert str(folder / "report.json") in str(error) and "\n" not in str(error)
        return str(error)


def test_mutated_reports_are_refused_in_a_line_or_shown_whole(tmp_path: Path) -> None:
    values, rng = held_report(), random.Random(10)
    values["steps"] = [step for step in values["steps"] if step["name"] in ("teacher", "small")]
    everywhere = list(places(values))
    refused = 0
    for place in rng.sample(everywhere, MUTATIONS):
        found = read(mutated(values, place, rng.choice(WRONG)), tmp_path)
        if isinstance(found, str):
            refused += 1
        else:
            show_everywhere(found)
    assert MUTATIONS // 2 < refused < MUTATIONS


def test_a_value_of_another_type_is_refused_outside_the_parts_that_plugins_choose(
    tmp_path: Path,
) -> None:
    values = held_report()
    fixed = [place for place in places(values) if not FREE & set(place)]
    scalars = [place for place in fixed if not isinstance(_at(values, place), dict | list)]
    assert len(scalars) > 100
    for place in random.Random(11).sample(scalars, 60):
        assert isinstance(read(mutated(values, place, [[1]]), tmp_path), str), place


def _at(values: Any, place: Place) -> Any:
    for key in place:
        values = values[key]
    return values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested more than 64 levels deep"),
        ('{"report_version": ' + "9" * 5000 + "}", "a whole number of 5000 digits"),
        ('{"report_version": NaN}', "NaN, which is no number of JSON"),
        ('{"report_version": -Infinity}', "-Infinity, which is no number of JSON"),
        ('{"report_version": "1"}', "is a report of version 1"),
        ('{"report_version": {}}', "is a report of version"),
    ],
)
def test_files_that_hold_no_report_are_refused_in_a_line(
    text: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "report.json").write_text(text, encoding="utf-8")
    with pytest.raises((IntegrityError, UsageError), match=words) as told:
        read_report(tmp_path)
    assert "\n" not in str(told.value)


def test_steps_that_name_each_other_as_parents_are_shown() -> None:
    values = held_report()
    values["steps"][0]["parent"], values["steps"][2]["parent"] = "student", "teacher"
    values["steps"][3]["parent"] = "small"
    show_everywhere(as_report(values))
