"""The summary of data: what is counted when they are prepared, what is warned of, and how it is
shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from reports import rich_report
from tiny import MemorySource, save_bert, task_named

from compress.artifact import Artifact
from compress.report.datatext import split_lines
from compress.report.remarks import remarks
from compress.report.views.markdown import markdown
from compress.report.views.page import page
from compress.results.datawarnings import data_warnings
from compress.results.report import Report
from compress.running.summarising import NEVER_CUT, token_lengths
from compress.store.prepared import Prepared, prepare
from compress.store.summary import DataSummary, Lengths, with_tokens
from compress.task import Task

Rows = list[tuple[str, Any]]
FILMS: Rows = [(f"film number {i}", str(i % 2)) for i in range(8)]


@pytest.fixture
def summary_of(tmp_path: Path) -> Callable[..., DataSummary]:
    """``summary_of(train=[(text, label), ...])``: the summary of such rows for a classifier."""

    def make(labels: list[str] | None = None, kind: str = "single", **splits: Rows) -> DataSummary:
        rows = {}
        for split, pairs in splits.items():
            rows[split] = [{"text": text, "label": label} for text, label in pairs]
        source = MemorySource(rows)
        source.options = source.options.model_copy(update={"labels": labels})
        prepare(source, task_named("text-classification", kind=kind), tmp_path)
        return Prepared(tmp_path, "").summary

    return make


def test_rows_labels_lengths_and_repetitions_are_counted(
    summary_of: Callable[..., DataSummary],
) -> None:
    train = [("a good film", "good"), ("a bad one", "bad"), ("a good film", "good")]
    found = summary_of(train=train, test=[("a bad one", "bad"), ("it is a fine one", "good")])
    assert found.labels == ("bad", "good")
    one, other = found.splits["train"], found.splits["test"]
    assert (one.rows, one.labels, one.repeated, one.in_train) == (3, {"bad": 1, "good": 2}, 1, 0)
    assert (other.rows, other.labels, other.in_train) == (2, {"bad": 1, "good": 1}, 1)
    assert (other.words.median, other.words.longest) == (3, 5)
    lines = split_lines(found)
    assert lines[0] == "train: 3 rows; good: 2, bad: 1; 3 words (median), at most 3"


def test_repetitions_are_found_however_far_apart_with_and_without_a_second_text(
    tmp_path: Path,
) -> None:
    rows = [{"text": f"film {i}", "text_pair": None, "label": str(i % 2)} for i in range(2500)]
    rows[5] = {"text": "film 1", "text_pair": "seen", "label": "0"}
    rows[1800] = {"text": "film 2400", "text_pair": "seen", "label": "0"}
    rows[2300] = rows[1]
    rows[2400] = rows[1800]
    rows[2450] = rows[7]
    prepare(
        MemorySource({"train": rows, "test": rows[1:3]}),
        task_named("text-classification"),
        tmp_path,
    )
    found = Prepared(tmp_path, "").summary.splits
    assert found["train"].repeated == 3 and found["test"].in_train == 2
    assert found["train"].words_of == 2500


def test_words_of_many_rows_are_those_of_drawn_ones_and_the_views_say_so(
    tmp_path: Path,
) -> None:
    rows = [{"text": "a film", "label": str(i % 2)} for i in range(10_100)]
    prepare(MemorySource({"train": rows}), task_named("text-classification"), tmp_path)
    (line,) = split_lines(Prepared(tmp_path, "").summary)
    assert line.endswith("2 words (median), at most 2, in 10,000 of these rows")


@pytest.mark.parametrize(
    ("lengths", "median", "high"),
    [([7], 7, 7), ([1, 100], 1, 100), (range(1, 11), 5, 10), (range(1, 101), 50, 95)],
)
def test_at_most_a_twentieth_of_the_examples_is_longer_than_the_high_length(
    lengths: Sequence[int], median: int, high: int
) -> None:
    assert Lengths.of(lengths) == Lengths(median=median, high=high, longest=max(lengths))


def test_each_of_several_labels_counts_and_a_number_is_none(
    summary_of: Callable[..., DataSummary],
) -> None:
    several = summary_of(kind="multi", train=[("a", "x;y"), ("b", "y"), ("c", "")])
    assert several.splits["train"].labels == {"x": 1, "y": 2}
    numbers = summary_of(kind="regression", train=[("a", "1.5"), ("b", "2")])
    assert numbers.splits["train"].labels == {} and data_warnings(numbers) == []


def test_good_data_give_no_warning(summary_of: Callable[..., DataSummary]) -> None:
    assert data_warnings(summary_of(train=FILMS, test=[("new", "0"), ("newer", "1")])) == []


def test_a_header_that_became_a_label_is_said(summary_of: Callable[..., DataSummary]) -> None:
    for name in ("label", "Kategorie"):
        header = [("content", name)]
        found = summary_of(train=header + FILMS, test=[*header, ("new", "1")])
        first, leak = data_warnings(found)
        assert first.startswith(f"the label '{name}' is only in the first row: its file's header")
        assert leak.startswith("1 row of 2 in the test split (50.0 %)")
    rare = [("a film", "rare"), *((text, f"class {label}") for text, label in FILMS)]
    (warning,) = data_warnings(summary_of(train=rare))
    assert warning.startswith("the label 'rare' is seen once in the training rows")


def test_leaks_and_labels_that_cannot_be_learnt_are_said(
    summary_of: Callable[..., DataSummary],
) -> None:
    found = summary_of(
        labels=["0", "1", "2", "3"], train=[*FILMS, FILMS[0]], test=[FILMS[1], ("new", "2")]
    )
    warnings = data_warnings(found)
    assert [warning.split(":")[0] for warning in warnings] == [
        "the label '2' is in the test rows and in no training row",
        "no row has the label '3'",
        "1 row of 9 in the train split repeats the text of an earlier one",
        "1 row of 2 in the test split (50.0 %) has the text of a training row",
    ]


def test_lengths_in_tokens_are_those_of_the_model_before_anything_is_cut(
    summary_of: Callable[..., DataSummary], tmp_path: Path
) -> None:
    long = " ".join(["film"] * 40)
    summary = summary_of(train=[*FILMS, (long, "1")])
    model = tmp_path / "model"
    model.mkdir()
    save_bert(model, task_named("text-classification"))
    prepared = Prepared(tmp_path, "")
    uncut = task_named("text-classification", max_length=NEVER_CUT)
    task = task_named("text-classification", max_length=16)
    (tokens,) = token_lengths(prepared, task, uncut, Artifact.open(model), 16).values()
    assert tokens.of == 9 and tokens.cut == pytest.approx(1 / 9)
    assert tokens.lengths.longest == 42  # with [CLS] and [SEP]
    shown = split_lines(with_tokens(summary, {"train": tokens}))[0]
    assert shown.endswith("at most 42, 11.1 % cut at 16")


def test_all_views_of_a_report_show_the_summary_and_its_warnings() -> None:
    report = Report.model_validate_json(json.dumps(rich_report()))
    assert remarks(report)[0].startswith("data: 25 % of the train examples are longer than 16")
    for view in (markdown(report), page(report)):
        assert "240 of 1,000" in view and "25.0 % at 16" in view and "label 11" in view
        assert "3 rows of 24 in the test split (12.5 %) have the text of a training row" in view


def test_labels_that_a_task_does_not_count_are_not_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_named("text-classification")
    monkeypatch.setattr(type(task), "count_labels", Task.count_labels)
    prepare(MemorySource({"train": [{"text": t, "label": x} for t, x in FILMS]}), task, tmp_path)
    summary = Prepared(tmp_path, "").summary
    assert summary.labels and data_warnings(summary) == []
