"""The first sentence of a report and the table below it: what everybody understands, and no more
than was measured."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from reports import as_report, held_report, rich_report, step_named
from rich.console import Console

from compress.artifact import Artifact
from compress.measurement import Measured, Measurement
from compress.report.headline import headline, step_sentence
from compress.report.recipe import recipe_as_run
from compress.report.remarks import remarks
from compress.report.tables.best import best_table
from compress.report.tables.changes import changes_table, quality_change
from compress.report.tables.detail import carried_tables
from compress.report.views.card import card
from compress.report.views.markdown import markdown
from compress.report.views.page import page
from compress.report.views.summary import summary
from compress.report.views.terminal import print_report
from compress.results.against import Against, Change
from compress.results.comparing import against
from compress.results.record import Record
from compress.results.report import Report

SMALL = 3
"""The place of the step ``small`` in the report."""


@pytest.fixture
def report() -> dict[str, Any]:
    return rich_report()


def change(report: dict[str, Any], name: str, **values: Any) -> None:
    """Change a comparison of ``small`` with the reference."""
    report["steps"][SMALL]["against_reference"]["comparisons"][name].update(values)


def resize(report: dict[str, Any], quotient: float) -> None:
    """Change how large ``small`` is beside the reference."""
    against = report["steps"][SMALL]["against_reference"]
    against["changes"]["size"]["quotient"] = quotient


def sentence(report: dict[str, Any], name: str = "small") -> str:
    made = as_report(report)
    return step_sentence(step_named(made, name), made)


def scored(name: str, value: float) -> Record:
    """A model that has a score and nothing else."""
    quality = Measurement("quality", value, "", "higher")
    measured = Measured({"quality": quality})
    nothing = cast(Artifact, None)
    return Record(name, "finetune", Path(name), nothing, 1.0, False, None, measured=measured)


def terminal(report: Report) -> str:
    console = Console(file=io.StringIO(), width=100)
    print_report(report, console)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_the_first_sentence_says_speed_disk_and_quality_of_the_best_step(
    report: dict[str, Any],
) -> None:
    assert headline(as_report(report)) == (
        'The int8 model "small" answers 12.0 times as fast, takes a tenth of the disk, and keeps '
        "97.8 % of the accuracy."
    )
    assert best_table(as_report(report)) == (
        ["", "teacher (reference)", "small"],
        [
            ["accuracy", "0.900", "0.880"],
            ["latency", "12.0 ms", "1.00 ms"],
            ["size", "100.0 MB", "10.0 MB"],
            ["memory", "200.0 MB", "20.0 MB"],
        ],
    )


@pytest.mark.parametrize("view", [terminal, markdown, page])
def test_every_view_opens_with_the_sentence_the_table_and_the_figures(
    view: Callable[[Report], str], report: dict[str, Any]
) -> None:
    made = as_report(report)
    text = " ".join(view(made).replace("&#34;", '"').replace("\\", "").split())
    places = [
        text.index(words)
        for words in (headline(made), "teacher (reference)", "small against teacher: quality")
    ]
    assert places == sorted(places)
    if "What each step changed" in text:
        assert places[-1] < text.index("What each step changed")


def test_a_card_opens_with_the_sentence_on_its_own_step(report: dict[str, Any]) -> None:
    made = as_report(report)
    text = card(step_named(made, "free"), made)
    opening = 'The model "free" answers 3.0 times as fast, takes 30 % of the disk, and keeps 88.9 %'
    assert f"\n\n{opening}" in text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"value": 12.0, "low": 11.0, "high": 13.0}, "answers 12.0 times as fast"),
        ({"value": 1.04, "low": 1.01, "high": 1.07}, "answers 1.04 times as fast"),
        ({"value": 1.04, "low": 0.99, "high": 1.07}, "is not clearly faster or slower"),
        ({"value": 1.04, "low": None, "high": None}, "is not clearly faster or slower"),
        ({"value": 1.4, "low": None, "high": None}, "answers 1.40 times as fast"),
        (
            {"value": 0.5, "low": 0.45, "high": 0.55},
            "is slower: an answer takes 2.0 times the time",
        ),
        (
            {"value": 501.7, "low": 3.95, "high": 1003.0},
            "answers between 4.0 and 1003.0 times as fast",
        ),
        (
            {"value": 0.5, "low": 0.25, "high": 0.8},
            "is slower: an answer takes between 1.25 and 4.0 times the time",
        ),
        ({"value": None, "low": None, "high": None}, "was not timed beside the reference"),
    ],
)
def test_speed_is_said_by_its_interval(
    values: dict[str, Any], words: str, report: dict[str, Any]
) -> None:
    change(report, "speedup", **values)
    assert words in sentence(report)


@pytest.mark.parametrize(
    ("quotient", "words"),
    [
        (0.2, "takes a fifth of the disk"),
        (0.204, "takes about a fifth of the disk"),
        (0.179, "takes 18 % of the disk"),
        (0.0124, "takes 1.2 % of the disk"),
        (0.994, "takes 99 % of the disk"),
        (0.5, "takes half of the disk"),
        (0.9996, "takes as much disk"),
        (1.0004, "takes as much disk"),
        (1.4, "takes 1.40 times the disk"),
    ],
)
def test_disk_is_said_as_a_share_and_a_tiny_difference_is_none(
    quotient: float, words: str, report: dict[str, Any]
) -> None:
    resize(report, quotient)
    assert words in sentence(report)
    row = next(row for row in changes_table(as_report(report)).rows if row[0] == "small")
    assert ("equal" in row) is ("as much" in words)


@pytest.mark.parametrize(
    ("difference", "kept", "words"),
    [
        ((-0.02, -0.03, -0.01), 0.978, "keeps 97.8 % of the accuracy."),
        (
            (-0.02, -0.05, 0.01),
            0.978,
            "its accuracy shows no clear change (97.8 % of the reference's).",
        ),
        ((0.02, 0.01, 0.03), 1.022, "has a better accuracy (102.2 % of the reference's)."),
        ((-0.02, -0.03, -0.01), None, "its accuracy is 0.880 (worse than the reference's)."),
        ((-0.02, -0.03, -0.01), -0.2, "its accuracy is 0.880 (worse than the reference's)."),
    ],
)
def test_quality_is_said_by_its_interval(
    difference: tuple[float, float, float],
    kept: float | None,
    words: str,
    report: dict[str, Any],
) -> None:
    value, low, high = difference
    change(report, "quality_difference", value=value, low=low, high=high)
    change(report, "quality_kept", value=kept)
    assert sentence(report).endswith(words)
    cells = next(row for row in changes_table(as_report(report)).rows if row[0] == "small")
    assert ("%" in cells[1]) is (kept is not None and kept >= 0)


@pytest.mark.parametrize(("own", "other"), [(-0.1, 0.5), (0.5, -0.1), (-0.2, -0.1), (0.5, 0.0)])
def test_no_share_is_kept_of_a_score_that_is_not_above_zero(own: float, other: float) -> None:
    compared = against(scored("own", own), "other", {"other": scored("other", other)})
    assert compared is not None and compared.quality_kept() is None


def test_a_score_that_is_better_when_lower_is_never_kept(report: dict[str, Any]) -> None:
    report["steps"][SMALL]["measurements"]["quality"].update(direction="lower", title="loss")
    change(report, "quality_difference", value=0.1, low=0.05, high=0.15)
    assert sentence(report).endswith("and its loss is 0.880 (worse than the reference's).")


def test_a_step_that_gains_nothing_is_said_to_gain_nothing(report: dict[str, Any]) -> None:
    change(report, "speedup", value=1.01, low=0.97, high=1.05)
    resize(report, 1.0)
    assert sentence(report).startswith('The int8 model "small" brings no gain in speed or size: it')


def test_without_a_budget_the_fastest_final_step_comes_first_and_with_one_its_best(
    report: dict[str, Any],
) -> None:
    assert 'model "small"' in headline(as_report(report))
    change(report, "speedup", value=1.0, low=0.9, high=1.1)
    assert 'model "free"' in headline(as_report(report))
    report["budget"] = {**held_report()["budget"], "met": True, "best": "student", "nearest": None}
    assert 'model "student"' in headline(as_report(report))
    report["budget"]["best"] = "teacher"
    assert "nothing was gained" in headline(as_report(report))


def test_models_that_are_benched_have_a_sentence_and_figures(report: dict[str, Any]) -> None:
    report["steps"] = [report["steps"][0], report["steps"][SMALL]]
    report["steps"][1].update(role="input", parent=None)
    made = as_report(report)
    assert 'model "small" answers 12.0 times' in headline(made)
    assert [line.partition(":")[0] for line in summary(made)] == ["small against teacher"]


def test_a_run_without_a_comparison_says_so(report: dict[str, Any]) -> None:
    report["steps"] = report["steps"][:1]
    for state, words in (
        ("finished", "No step was compared with the reference."),
        ("running", "this is what is known so far. Nothing is compared yet."),
    ):
        assert headline(as_report({**report, "state": state})).endswith(words)
    report["steps"][0]["measurements"] = {}
    failed = headline(as_report({**report, "state": "failed"}))
    assert failed.endswith("this is what was known then. Nothing was measured.")


def test_a_missed_budget_is_said_first() -> None:
    assert headline(as_report(held_report())).startswith(
        'No model meets the budget; "small" comes nearest. The int8 model "small" answers'
    )


def test_a_run_that_goes_on_has_missed_nothing_yet() -> None:
    running = {**held_report(), "state": "running"}
    assert headline(as_report(running)).startswith("The run goes on; this is what is known so far.")
    budget = remarks(as_report(running))[-1]
    assert budget.startswith("budget not met so far; nearest is small (the run goes on)")
    running["budget"] = {**running["budget"], "nearest": None, "verdicts": {}}
    assert remarks(as_report(running))[-1].startswith(
        "budget not decided yet: no step was measured"
    )
    finished = as_report({**running, "state": "finished"})
    assert remarks(finished)[-1].startswith("budget missed: no step was measured")
    assert not [line for line in remarks(finished) if "None" in line]


def test_a_report_without_meters_says_so_in_every_view(report: dict[str, Any]) -> None:
    for step in report["steps"]:
        step.update(
            measurements={}, against_reference=None, against_fastest=None, against_parent=None
        )
    made = as_report({**report, "findings": []})
    for text in (terminal(made), markdown(made), page(made)):
        assert "Nothing was measured: no meter was installed." in text
    assert terminal(made).startswith("tiny (finished)\n"), "the title stays whole"


def test_the_recipe_is_shown_as_run_with_its_overrides() -> None:
    made = as_report({**held_report(), "overrides": ["a.b=1\n2", "seed=3"]})
    head = (
        "# Run with values of the command line in place of those below:\n"
        "#   --set a.b=1 2\n#   --set seed=3\n"
    )
    assert recipe_as_run(made) == head + made.recipe
    assert head in markdown(made) and head in page(made)
    assert recipe_as_run(as_report(rich_report())) == "task: text-classification\n"


def many_classes(report: dict[str, Any]) -> Report:
    """The report with tables of 151 classes; the score of class i is i / 151, and it changed most
    for class 75."""
    labels = [f"class {i}" for i in range(151)]
    score = {label: {"support": 3, "accuracy": i / 151} for i, label in enumerate(labels)}
    changed = {
        label: {"support": 3, "accuracy": -0.5 if i == 75 else 0.001 * (i % 7)}
        for i, label in enumerate(labels)
    }
    small = report["steps"][SMALL]
    small["measurements"]["quality"]["detail"] = {"tables": {"by class": score}}
    change(report, "quality_difference", detail={"tables": {"change by class": changed}})
    small["labels"] = labels
    return as_report(report)


def test_of_many_classes_the_worst_and_the_most_changed_come_first(report: dict[str, Any]) -> None:
    made = many_classes(report)
    tables = carried_tables(made)
    of_small = next(t for t in tables["quality, by class"] if t.whose == "small")
    assert [row[0] for row in of_small.table.rows] == [f"class {i}" for i in range(10)]
    assert (len(of_small.rest), of_small.rest[-1][0]) == (141, "class 150")
    changed = next(
        t
        for t in tables["quality difference, change by class"]
        if t.whose == "small against teacher"
    )
    assert changed.table.rows[0][0] == "class 75"
    few = next(t for t in tables["quality, by class"] if t.whose == "teacher")
    assert [row[0] for row in few.table.rows] == ["PER", "LOC"] and not few.rest


def test_the_rest_of_many_classes_is_folded_in_the_page_and_counted_in_text(
    report: dict[str, Any],
) -> None:
    made = many_classes(report)
    text, shown = markdown(made), page(made)
    assert "And 141 more: report.html shows all." in text and "class 140" not in text
    assert "<details><summary>141 more</summary>" in shown and "class 140" in shown
    labels = card(step_named(made, "small"), made).split("Its labels are ")[1].split(".")[0]
    assert labels.endswith("class 19 and 131 more, which its config names")


def test_a_change_of_a_score_that_is_better_when_lower_is_a_factor_and_no_share_kept() -> None:
    change = Change(difference=2.0, quotient=1.25)
    against = Against(name="teacher", changes={"quality": change}, comparisons={})
    assert quality_change(against, "lower") == "+2.000 (1.25x)"
    assert quality_change(against, "higher") == "+2.000 (125.0 %)"
