"""What a stranger's meter measures and compares stands in every view, though none knows it by
name."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from compress_tensorboard.summary import table
from reports import as_report, rich_report
from rich.console import Console

from compress.measurement import Measurement
from compress.report.diff.compare import compare_runs
from compress.report.diff.side import Side
from compress.report.diff.views import diff_page, print_diff
from compress.report.views.card import card
from compress.report.views.markdown import markdown
from compress.report.views.page import page
from compress.report.views.terminal import print_report
from compress.results.report import Report

VALUE, RATIO = "417.3", "9.87x"


@pytest.fixture
def report() -> dict[str, Any]:
    """A report to which a stranger's meter has added ``joules`` to a step, and a comparison to each
    side that it has."""
    found = rich_report()
    joules = Measurement(
        "joules", 417.3, "J", "lower", 400.0, 430.0, 7, {"sensor": "rapl"}, title="energy"
    )
    saved = Measurement(
        "joules_saved", 9.87, "x", "higher", 9.5, 10.2, 7, {"sensor": "rapl"}, title="energy saved"
    )
    for step in found["steps"]:
        step["measurements"]["joules"] = joules.as_dict()
        for side in ("against_reference", "against_fastest", "against_parent"):
            if step[side]:
                step[side]["comparisons"]["joules_saved"] = saved.as_dict()
    return found


def terminal(report: Report) -> str:
    console = Console(file=io.StringIO(), width=300)
    print_report(report, console)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def last_card(report: Report) -> str:
    return card(report.steps[-1], report)


def tensorboard(report: Report) -> str:
    return table(report.model_dump(mode="json"))


@pytest.mark.parametrize("view", [terminal, markdown, page, last_card, tensorboard])
def test_every_view_of_a_run_shows_it(
    view: Callable[[Report], str], report: dict[str, Any]
) -> None:
    text = view(as_report(report)).replace("\\", "")
    shown = ("417 J", RATIO) if view is not tensorboard else (VALUE, "9.87")
    assert all(word in text for word in shown)
    assert "energy" in text or view is tensorboard and "joules" in text


def test_mlflow_is_sent_it(report: dict[str, Any]) -> None:
    client = pytest.importorskip("compress_mlflow.client")
    sent = dict(client.measured(report))
    assert sent["free/joules"] == 417.3 and sent["free/joules.low"] == 400.0
    assert sent["free/vs_reference/joules_saved"] == sent["free/vs_fastest/joules_saved"] == 9.87
    assert "teacher@onnxruntime/vs_fastest/joules_saved" not in sent, "it is its own fastest engine"


def test_a_difference_of_two_runs_shows_it(report: dict[str, Any]) -> None:
    other = rich_report()
    for step in other["steps"]:
        step["measurements"]["joules"] = {
            **report["steps"][0]["measurements"]["joules"],
            "value": 200.0,
            "low": 190.0,
            "high": 210.0,
        }
    sides = [Side(name, as_report(values)) for name, values in (("one", report), ("two", other))]
    found = compare_runs(*sides, {})
    console = Console(file=io.StringIO(), width=300)
    print_diff(found, console)
    for text in (diff_page(found), str(console.file.getvalue())):  # type: ignore[attr-defined]
        assert "energy" in text and "417 J" in text and "200 J" in text
