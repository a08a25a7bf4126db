"""Budgets and findings, on reports made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from compress.budget import Budget, Limit, parse_limit
from compress.report.build import budget_missed
from compress.report.findings import findings
from compress.report.verdicts import judge, verdict_on_run


def measured(value: float, unit: str, direction: str = "lower") -> dict[str, Any]:
    return {"value": value, "unit": unit, "direction": direction, "absent": "", "title": "t"}


def against(name: str, speedup: float, size: float) -> dict[str, Any]:
    ratio = {"value": speedup, "low": speedup * 0.98, "high": speedup * 1.02}
    return {"name": name, "changes": {"size": {"difference": 0.0, "quotient": size}}, "comparisons": {"speedup": ratio}}


def step(name: str, quality: float, latency: float, size: float, **others: Any) -> dict[str, Any]:
    return {"name": name, "role": "step", "task": "text-classification", "parent": None, "against_reference": None,
            "traits": {"format": "pytorch", "precision": "float"},
            "against_fastest": None, "against_parent": None,
            "measurements": {"quality": measured(quality, "", "higher"), "latency_p50": measured(latency, "ms"),
                             "size": measured(size, "bytes"), "memory": measured(2 * size, "bytes")}, **others}


def report(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"task": {"name": "text-classification"}, "reference": "teacher", "fastest_float_engine": "teacher@onnxruntime",
            "steps": list(steps), "step_budgets": {}, "budget": None}


@pytest.fixture
def three_steps() -> dict[str, Any]:
    fast = step("teacher@onnxruntime", 0.90, 4.0, 100e6, role="reference-engine")
    student = step("student", 0.895, 3.0, 40e6, parent="teacher", against_reference=against("teacher", 4.0, 0.4),
                   against_fastest=against("teacher@onnxruntime", 1.3, 0.4), against_parent=against("teacher", 4.0, 0.4))
    small = step("small", 0.80, 1.0, 10e6, parent="student", against_reference=against("teacher", 11.0, 0.1),
                 against_fastest=against("teacher@onnxruntime", 4.1, 0.1), against_parent=against("student", 2.9, 0.25))
    return report(step("teacher", 0.90, 12.0, 100e6, role="reference"), fast, student, small)


@pytest.mark.parametrize(("quantity", "text", "value", "relative", "of"), [
    ("quality", ">= 99% of teacher", 0.99, True, "teacher"), ("quality", ">= 0.85", 0.85, False, None),
    ("latency", "<= 5 ms", 5.0, False, None), ("latency", "<= 2s", 2000.0, False, None),
    ("latency", ">= 4x", 4.0, True, None), ("latency", ">= 4x of B0", 4.0, True, "B0"),
    ("size", "<= 20 MB", 20e6, False, None), ("memory", ">= 2x", 2.0, True, None),
])
def test_a_limit_is_read_in_the_measurements_unit(quantity: str, text: str, value: float, relative: bool,
                                                  of: str | None) -> None:
    limit = parse_limit(quantity, text)
    assert (limit.value, limit.relative, limit.of) == (value, relative, of)


@pytest.mark.parametrize(("quantity", "text"), [
    ("quality", "99%"), ("quality", "<= 0.5"), ("latency", ">= 5 ms"), ("latency", "<= 4x"), ("latency", "<= 5 MB"),
    ("size", "<= 20 ms"), ("size", 20), ("memory", "<= 20"), ("latency", "<= 5 ms of teacher"),
])
def test_a_limit_that_means_nothing_is_refused_with_an_example(quantity: str, text: Any) -> None:
    with pytest.raises(ValueError, match=f"{quantity}: .*write '"):
        parse_limit(quantity, text)


def test_a_speed_limit_is_against_the_fastest_float_engine_unless_it_says_otherwise(three_steps: dict[str, Any]) -> None:
    student = three_steps["steps"][2]
    bare, of_b0 = judge(student, [parse_limit("latency", ">= 4x"), parse_limit("latency", ">= 4x of B0")], three_steps)
    assert not bare["met"] and "1.30x of teacher@onnxruntime" in bare["measured"]
    assert of_b0["met"] and "4.00x of teacher [3.92, 4.08]" in of_b0["measured"]


def test_the_best_is_the_fastest_that_keeps_the_quality(three_steps: dict[str, Any]) -> None:
    outcome = verdict_on_run(Budget((parse_limit("quality", ">= 99% of teacher"),)), three_steps)
    assert outcome["met"] and outcome["best"] == "student" and outcome["nearest"] is None


def test_the_best_is_the_one_of_highest_quality_where_only_size_is_limited(three_steps: dict[str, Any]) -> None:
    assert verdict_on_run(Budget((parse_limit("size", "<= 50 MB"),)), three_steps)["best"] == "student"


def test_where_none_meets_the_budget_the_nearest_is_named_and_the_run_counts_as_missed(three_steps: dict[str, Any]) -> None:
    budget = Budget((parse_limit("quality", ">= 99% of teacher"), parse_limit("size", "<= 20 MB")))
    outcome = verdict_on_run(budget, three_steps)
    assert not outcome["met"] and outcome["best"] is None and outcome["nearest"] == "small"
    assert budget_missed({**three_steps, "budget": outcome})
    assert not budget_missed({**three_steps, "budget": {**outcome, "on_miss": "warn"}})


def test_what_was_not_measured_meets_nothing(three_steps: dict[str, Any]) -> None:
    three_steps["steps"][2]["measurements"]["quality"]["value"] = None
    limit: Limit = parse_limit("quality", ">= 1% of teacher")
    verdict = judge(three_steps["steps"][2], [limit], three_steps)[0]
    assert verdict["met"] is None and verdict["measured"] == "not measured"


def test_a_step_that_is_smaller_and_slower_is_said_to_be(three_steps: dict[str, Any]) -> None:
    assert not [f for f in findings(three_steps) if f["kind"] == "smaller_but_slower"]
    three_steps["steps"][3]["against_parent"] = against("student", 0.5, 0.25)
    found = [f for f in findings(three_steps) if f["kind"] == "smaller_but_slower"]
    assert [f["step"] for f in found] == ["small"]
    assert "4.0x smaller than student and 2.0x slower" in found[0]["text"]


def test_a_speed_within_the_noise_is_no_finding(three_steps: dict[str, Any]) -> None:
    three_steps["steps"][3]["against_parent"] = against("student", 0.99, 0.25)
    assert not [f for f in findings(three_steps) if f["kind"] == "smaller_but_slower"]


def test_a_final_model_slower_than_the_reference_in_a_faster_engine_is_said_to_be(three_steps: dict[str, Any]) -> None:
    three_steps["steps"][3]["against_fastest"] = against("teacher@onnxruntime", 0.8, 0.1)
    found = [f for f in findings(three_steps) if f["kind"] == "slower_than_reference_engine"]
    assert [f["step"] for f in found] == ["small"]
