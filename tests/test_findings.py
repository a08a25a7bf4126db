"""Warnings about steps that brought no gain, on reports made by hand: each is one sentence with its
remedy, and noise makes none."""

from __future__ import annotations

from typing import Any

import pytest
from barereports import against, report, step
from reports import as_report, whole

from compress.results import findings as module
from compress.results.report import Finding


def findings(values: dict[str, Any]) -> tuple[Finding, ...]:
    return module.findings(as_report(whole(values)))


def texts(values: dict[str, Any], kind: str) -> list[str]:
    return [finding.text for finding in findings(values) if finding.kind == kind]


def small_against(**changes: Any) -> dict[str, Any]:
    """A report of a teacher, of it in a faster engine, and of a step after it with these
    entries."""
    fast = step("teacher@onnxruntime", 0.90, 4.0, 100e6, role="reference-engine")
    small = step(
        "small", 0.80, 1.0, 10e6, parent="teacher", against_parent=against("teacher", 2.9, 0.25)
    )
    return report(step("teacher", 0.90, 12.0, 100e6, role="reference"), fast, {**small, **changes})


def test_a_gain_is_no_finding() -> None:
    gain = small_against(
        against_fastest=against("teacher@onnxruntime", 1.5, 0.25),
        against_reference=against("teacher", 2.9, 0.25),
    )
    assert findings(gain) == ()
    assert findings(small_against(against_parent=None)) == (), "nothing is compared"


def test_a_smaller_and_slower_step_is_a_finding() -> None:
    (text,) = texts(
        small_against(against_parent=against("teacher", 0.5, 0.25)), "smaller_but_slower"
    )
    assert text == (
        "small is 4.0x smaller than teacher and 2.0x slower: take it where disk space is short, "
        "and another "
        "format or engine where time is"
    )
    assert not texts(
        small_against(against_parent=against("teacher", 0.5, 0.996)), "smaller_but_slower"
    )
    assert not texts(
        small_against(against_parent=against("teacher", 0.985, 0.25, spread=0.01)),
        "smaller_but_slower",
    )


def test_a_size_is_equal_in_a_finding_where_it_is_in_a_table() -> None:
    (text,) = texts(
        small_against(against_parent=against("teacher", 0.5, 0.99)), "smaller_but_slower"
    )
    assert text.startswith("small is 1.01x smaller than teacher and 2.0x slower")


def test_advice_to_a_slower_model_is_true_of_its_memory() -> None:
    hungry = against("teacher", 0.5, 0.25)
    hungry["changes"]["memory"] = {"difference": 1e6, "quotient": 2.03}
    (text,) = texts(small_against(against_parent=hungry), "smaller_but_slower")
    assert "2.0x slower, and needs 2.0x the memory: take it where disk space is short" in text
    for quotient in (0.4, 0.0):
        lean = against("teacher", 0.5, 0.25)
        lean["changes"]["memory"] = {"difference": -1e6, "quotient": quotient}
        (text,) = texts(small_against(against_parent=lean), "smaller_but_slower")
        assert "2.0x slower: take it where memory is short" in text


def test_a_speed_within_the_noise_is_no_finding() -> None:
    assert not texts(
        small_against(against_parent=against("teacher", 0.99, 0.25)), "smaller_but_slower"
    )


def test_a_final_model_slower_than_the_reference_in_a_faster_engine_is_a_finding() -> None:
    slower = small_against(against_fastest=against("teacher@onnxruntime", 0.8, 0.1))
    (text,) = texts(slower, "slower_than_reference_engine")
    assert text.startswith(
        "small is slower (0.80x) than teacher@onnxruntime, the uncompressed reference in a faster "
        "engine"
    )
    later = {**slower, "steps": [*slower["steps"], step("last", 0.8, 1.0, 1e6, parent="small")]}
    assert not texts(later, "slower_than_reference_engine"), "it is not what is deployed"


def test_models_that_are_measured_side_by_side_are_held_against_the_first() -> None:
    slow, fast, same = (
        against("teacher", 0.5, 0.25),
        against("teacher", 2.0, 0.25),
        against("teacher", 1.0, 1.0),
    )
    for model in (slow, fast, same):
        model["comparisons"]["flips"] = {"value": 0.0, "n": 500}
    first = step("teacher", 0.90, 12.0, 100e6, role="reference")
    models = [
        step("slow", 0.9, 24.0, 25e6, role="input", against_reference=slow, against_fastest=slow),
        step("fast", 0.9, 6.0, 25e6, role="input", against_reference=fast, against_fastest=fast),
        step("same", 0.9, 12.0, 100e6, role="input", against_reference=same, against_fastest=same),
    ]
    assert [(f.step, f.kind) for f in findings(report(first, *models))] == [
        ("slow", "smaller_but_slower")
    ]
    made = step("made", 0.9, 12.0, 100e6, parent="teacher")
    assert findings(report(first, *models, made)) == (), (
        "in a run they are what its steps are made of"
    )


def sparse(zeros: float, size: float) -> dict[str, Any]:
    made = small_against(against_parent=against("teacher", 1.0, size))
    small = made["steps"][2]
    small["against_parent"]["changes"]["nonzero"] = {"difference": -zeros, "quotient": 1 - zeros}
    small["measurements"]["nonzero"] = {"value": 1 - zeros, "unit": "share"}
    return made


def test_a_sparse_step_that_is_not_smaller_is_a_finding() -> None:
    (text,) = texts(sparse(0.9, 1.0), "sparse_not_smaller")
    assert text == (
        "small has 90 % of its weights at zero and is no smaller than teacher: zeros are stored "
        "and multiplied "
        "like any number, so prune whole heads, neurons or layers instead (structured pruning)"
    )


@pytest.mark.parametrize(("zeros", "size"), [(0.9, 0.3), (0.04, 1.0), (-0.5, 1.0)])
def test_zeros_that_make_it_smaller_or_are_few_are_no_finding(zeros: float, size: float) -> None:
    assert not texts(sparse(zeros, size), "sparse_not_smaller")


def unchanged(
    flips: float = 0.0,
    n: int = 500,
    speedup: float = 1.0,
    size: float = 1.0,
    memory: float | None = None,
    form: str = "pytorch",
    precision: str = "float",
    nonzero: float | None = None,
) -> dict[str, Any]:
    made = small_against(
        against_parent=against("teacher", speedup, size),
        traits={"format": form, "precision": precision},
    )
    before = made["steps"][2]["against_parent"]
    before["comparisons"]["flips"] = {"value": flips, "n": n}
    if memory is not None:
        before["changes"]["memory"] = {"difference": 0.0, "quotient": memory}
    if nonzero is not None:
        before["changes"]["nonzero"] = {"difference": nonzero, "quotient": 1 + nonzero}
        made["steps"][2]["measurements"]["nonzero"] = {
            "value": 1 + nonzero,
            "unit": "share",
            "absent": "",
        }
    return made


def test_a_step_that_changed_nothing_is_a_finding() -> None:
    (text,) = texts(unchanged(), "changed_nothing")
    assert text == (
        "small changed nothing: it decides all 500 cases as teacher does, is as large and no "
        "faster: give it "
        "options that do more, or leave the step out"
    )
    assert texts(unchanged(speedup=1.015, size=0.996, memory=1.3), "changed_nothing"), (
        "that is noise, and more memory no gain"
    )
    assert texts(unchanged(nonzero=-0.01), "changed_nothing"), "so few zeros a training moves"


@pytest.mark.parametrize(
    "change",
    [
        {"flips": 0.002},
        {"n": 0},
        {"speedup": 1.1},
        {"speedup": 0.9},
        {"size": 0.9},
        {"size": 1.1},
        {"memory": 0.8},
        {"form": "onnx"},
        {"precision": "fake-quantized"},
        {"nonzero": -0.5},
    ],
)
def test_whatever_a_step_changed_it_did_not_change_nothing(change: dict[str, Any]) -> None:
    assert not texts(unchanged(**change), "changed_nothing")


def scored(direction: str, score: float, baseline: dict[str, float]) -> dict[str, Any]:
    """A report of a reference with this score and the most frequent answer's beside it."""
    teacher = step("teacher", score, 12.0, 100e6, role="reference")
    quality = {"title": "f1", "direction": direction, "detail": {"baseline": baseline}}
    teacher["measurements"]["quality"] |= quality
    return report(teacher)


def test_a_score_that_the_most_frequent_answer_has_too_is_a_finding() -> None:
    nothing = scored("higher", 0.0, {"value": 0.0, "difference": 0.0, "low": -0.01, "high": 0.01})
    (text,) = texts(nothing, "learnt_nothing")
    assert text == (
        "teacher is not shown to be better than one answer for every text: its f1 is 0.000, and "
        "the most frequent answer has 0.000: what is made from it can be no better, so check its "
        "labels and data, or train it longer"
    )


def test_models_after_one_that_learnt_nothing_are_named_with_it() -> None:
    nothing = {"value": 0.5, "difference": 0.0, "low": -0.1, "high": 0.1}
    values = scored("higher", 0.5, nothing)
    for name, parent in (("small", "teacher"), ("smaller", "small")):
        later = step(name, 0.5, 6.0, 50e6, parent=parent)
        later["measurements"]["quality"] |= values["steps"][0]["measurements"]["quality"]
        values["steps"].append(later)
    (finding,) = [found for found in findings(values) if found.kind == "learnt_nothing"]
    assert finding.step == "teacher"
    assert finding.text.endswith("; neither are small nor smaller shown to be better")


@pytest.mark.parametrize(
    ("direction", "baseline", "found"),
    [
        ("higher", {"value": 0.5, "difference": 0.1, "low": 0.05, "high": 0.15}, False),
        ("higher", {"value": 0.5, "difference": 0.1, "low": 0.0, "high": 0.2}, True),
        ("higher", {"value": 0.5, "difference": -0.1, "low": -0.2, "high": -0.01}, True),
        ("higher", {"value": 0.5, "difference": 0.1}, False),
        ("higher", {"value": 0.5, "difference": 0.0}, True),
        ("lower", {"value": 0.5, "difference": -0.1, "low": -0.2, "high": -0.01}, False),
        ("lower", {"value": 0.5, "difference": -0.1, "low": -0.2, "high": 0.0}, True),
        ("lower", {"value": 0.5, "difference": 0.1}, True),
    ],
)
def test_the_interval_decides_whether_a_model_learnt_something(
    direction: str, baseline: dict[str, float], found: bool
) -> None:
    assert bool(texts(scored(direction, 0.6, baseline), "learnt_nothing")) == found


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (2.0, "writes less than teacher: 2.0 tokens an answer, and 12.0"),
        (14.0, "writes more than teacher: 14.0 tokens an answer, and 12.0"),
        (12.5, None),
        (None, None),
    ],
)
def test_answers_of_another_length_are_told_beside_their_speed(
    tokens: float | None, said: str | None
) -> None:
    values = small_against(against_parent=against("teacher", 2.9, 0.25))
    teacher, _, small = values["steps"]
    for one, mean in ((teacher, 12.0), (small, tokens)):
        conditions = {} if mean is None else {"mean_answer": mean}
        one["measurements"]["latency_p50"]["conditions"] = conditions
    found = texts(values, "other_length")
    assert len(found) == (said is not None)
    assert said is None or found[0].startswith(f"small {said}; the ratio of their latencies")
