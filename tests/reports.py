"""Reports made by hand as JSON-ready values, which tests change before ``as_report`` makes them
reports: one that holds all that a view can show (siblings, intervals, curves, tables, flips,
absences), and ``whole``, which completes what a test says of a report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from compress.measurement import Measurement
from compress.results.report import Report
from compress.results.step import StepResult

TASK = "text-classification"
CLASSES = ("PER", "LOC")
UNDER = {"engine": "torch", "device": "cpu", "threads": 2, "batch": 1}


def as_report(values: Mapping[str, Any]) -> Report:
    """The report that these JSON-ready values are."""
    return Report.model_validate_json(json.dumps(values))


def step_named(report: Report, name: str) -> StepResult:
    """The step of that name, which the report must have."""
    return next(step for step in report.steps if step.name == name)


def _summary() -> dict[str, Any]:
    """A summary of data with 12 labels, and a test split that repeats training rows."""
    names = [f"label {i}" for i in range(12)]
    lengths = {"median": 9, "high": 20, "longest": 31}
    train = {
        "rows": 240,
        "rows_in_source": 1000,
        "examples": 240,
        "labels": dict.fromkeys(names, 20),
        "words": lengths,
        "words_of": 240,
        "repeated": 0,
        "in_train": 0,
        "lone_first": None,
        "tokens": {"of": 240, "max_length": 16, "cut": 0.25, "lengths": lengths},
    }
    test = {
        **train,
        "rows": 24,
        "rows_in_source": 24,
        "examples": 24,
        "words_of": 24,
        "in_train": 3,
    }
    test["tokens"] = {**train["tokens"], "of": 24}
    test["labels"] = dict.fromkeys(names, 2)
    return {"labels": names, "splits": {"train": train, "test": test}}


def rich_report() -> dict[str, Any]:
    """A teacher, its conversion, a student, and two siblings made from the student."""
    teacher = _step("teacher", "finetune", 0.90, 12.0, 100e6, role="reference")
    fast = _step(
        "teacher@onnxruntime",
        "export.onnx",
        0.90,
        5.0,
        100e6,
        role="reference-engine",
        parent="teacher",
        format="onnx",
    )
    student = _step("student", "distill", 0.885, 6.0, 50e6, parent="teacher")
    small = _step(
        "small", "quantize.onnx", 0.88, 1.0, 10e6, parent="student", format="onnx", precision="int8"
    )
    free = _step("free", "prune.structured", 0.80, 4.0, 30e6, parent="student", shape="free")
    for step in (fast, student, small, free):
        step["against_reference"] = _against("teacher", teacher, step)
        step["against_fastest"] = (
            _against("teacher@onnxruntime", fast, step) if step is not fast else None
        )
        step["against_parent"] = _against(
            step["parent"], teacher if step["parent"] == "teacher" else student, step
        )
    return {
        "report_version": 1,
        "compress_version": "0.1.0",
        "state": "finished",
        "failure": None,
        "name": "tiny",
        "recipe": f"task: {TASK}\n",
        "overrides": [],
        "seed": 1,
        "task": {"name": TASK, "options": {"max_length": 16}},
        "data": {"source": "csv", "name": "reviews"},
        "data_summaries": {"data": _summary()},
        "hub_models": ["someone/encoder"],
        "reference": "teacher",
        "fastest_float_engine": "teacher@onnxruntime",
        "unmeasured_engines": {},
        "effort": "thorough",
        "seconds": {"making": 300.0, "measuring": 100.0},
        "environment": {
            "processor": "cpu",
            "features": [],
            "gpus": [],
            "threads": 2,
            "memory_bytes": 8e9,
            "system": "Linux",
            "python": "3.11",
            "versions": {"torch": "2.13"},
        },
        "steps": [teacher, fast, student, small, free],
        "budget": None,
        "step_budgets": {},
        "findings": [
            {"step": "free", "kind": "smaller_but_slower", "text": "free is slower than small"}
        ],
    }


def held_report() -> dict[str, Any]:
    """The same with budgets, the tries of a step that backs off, and an override."""
    report = rich_report()
    verdict = {
        "quantity": "quality",
        "limit": ">= 99% of teacher",
        "met": False,
        "measured": "97.8 % of teacher",
        "shortfall": 0.01,
    }
    outcome = {
        "limits": [">= 99% of teacher"],
        "on_miss": "back_off",
        "decide": "point",
        "met": False,
    }
    small = next(s for s in report["steps"] if s["name"] == "small")
    small["attempts"] = [
        {
            "options": {"share": share, "mode": "dynamic"},
            "digest": digest * 64,
            "seconds": 1.0,
            "measuring_seconds": 1.0,
            "verdicts": [verdict],
        }
        for share, digest in (("half", "1"), (0.25, "0"))
    ]
    report["overrides"] = ["stages.small.share=half"]
    report["step_budgets"] = {"small": {**outcome, "of_recipe": False, "verdicts": [verdict]}}
    report["budget"] = {
        **outcome,
        "best": None,
        "nearest": "small",
        "verdicts": {"small": [verdict]},
    }
    return report


def _step(
    name: str,
    stage: str,
    quality: float,
    latency: float,
    size: float,
    *,
    role: str = "step",
    parent: str | None = None,
    **traits: str,
) -> dict[str, Any]:
    return {
        "name": name,
        "stage": stage,
        "role": role,
        "parent": parent,
        "folder": f"steps/01-{name}",
        "digest": "0" * 64,
        "base": "someone/encoder",
        "needs": ["compress-toolkit"] if traits.get("shape") == "free" else [],
        "traits": {
            "format": "pytorch",
            "precision": "float",
            "shape": "stock",
            "trainable": True,
            "task": TASK,
            **traits,
        },
        "task": TASK,
        "options": {"epochs": 2, "student": {"layers": 1}},
        "seed": 1,
        "seconds": 60.0,
        "measuring_seconds": 20.0,
        "cached": False,
        "test": "e" * 64,
        "labels": list(CLASSES),
        "attempts": [],
        "notes": {},
        "against_reference": None,
        "against_fastest": None,
        "against_parent": None,
        "against_named": [],
        "usage": {
            "library": "onnxruntime" if traits.get("format") == "onnx" else "transformers",
            "pipeline_tag": TASK,
            "packages": ["tokenizers"],
            "code": "print('an answer')\n",
        },
        "measurements": {m.name: m.as_dict() for m in _measurements(quality, latency, size)},
    }


def _measurements(quality: float, latency: float, size: float) -> Sequence[Measurement]:
    points = [
        [length, latency * length / 16, latency * length / 17, latency * length / 15]
        for length in (8, 16, 64, 128)
    ]
    table = {label: {"f1": quality, "support": 3} for label in CLASSES}
    return (
        Measurement(
            "quality",
            quality,
            "",
            "higher",
            quality - 0.02,
            quality + 0.02,
            600,
            {**UNDER, "split": "test"},
            title="accuracy",
            detail={"tables": {"by class": table}},
            worst=quality - 0.017,
        ),
        Measurement("f1_macro", quality - 0.01, "", "neither", n=600, conditions=UNDER),
        Measurement(
            "latency_p50",
            latency,
            "ms",
            "lower",
            latency * 0.95,
            latency * 1.05,
            640,
            UNDER,
            title="latency",
        ),
        Measurement("size", size, "bytes", "lower", title="size"),
        Measurement("memory", 2 * size, "bytes", "lower", conditions=UNDER, title="memory"),
        Measurement("memory_gpu", None, "bytes", "lower", absent="the model ran on the cpu"),
        Measurement(
            "latency_by_length",
            latency,
            "ms",
            "lower",
            conditions=UNDER,
            detail={"curve": {"axis": "tokens", "points": points}},
        ),
    )


def _against(name: str, other: dict[str, Any], step: dict[str, Any]) -> dict[str, Any]:
    mine, theirs = (
        {n: m["value"] for n, m in s["measurements"].items() if m["value"]} for s in (step, other)
    )
    difference, ratio = (
        mine["quality"] - theirs["quality"],
        theirs["latency_p50"] / mine["latency_p50"],
    )
    compared = (
        Measurement(
            "speedup",
            ratio,
            "x",
            "higher",
            ratio * 0.98,
            ratio * 1.02,
            10,
            {"rounds": 10, "other": UNDER},
        ),
        Measurement(
            "speedup_p50",
            ratio,
            "x",
            "higher",
            ratio * 0.98,
            ratio * 1.02,
            10,
            {"rounds": 10, "other": UNDER},
        ),
        Measurement(
            "speedup_by_length",
            ratio,
            "x",
            "higher",
            detail={
                "curve": {
                    "axis": "tokens",
                    "points": [[8, ratio, None, None], [128, ratio, 0.9, 1.1]],
                }
            },
        ),
        Measurement(
            "quality_difference",
            difference,
            "",
            "higher",
            difference - 0.01,
            difference + 0.01,
            600,
            detail={
                "test": "McNemar exact",
                "p": 0.03,
                "tables": {"change by class": {label: {"f1": difference} for label in CLASSES}},
            },
        ),
        Measurement("quality_kept", mine["quality"] / theirs["quality"], "share", "higher"),
        Measurement("flips", 0.05, "share", "lower", 0.03, 0.07, 600, detail={"right_before": 20}),
    )
    changes = {
        n: {"difference": mine[n] - theirs[n], "quotient": mine[n] / theirs[n]} for n in mine
    }
    return {
        "name": name,
        "changes": changes,
        "comparisons": {m.name: m.as_dict() for m in compared},
    }


_EMPTY_STEP: Mapping[str, Any] = {
    "stage": "finetune",
    "role": "step",
    "parent": None,
    "folder": "steps/01-step",
    "digest": "d",
    "base": None,
    "needs": [],
    "traits": {
        "format": "pytorch",
        "precision": "float",
        "shape": "stock",
        "trainable": True,
        "task": TASK,
    },
    "task": TASK,
    "options": {},
    "seed": 0,
    "seconds": 0.0,
    "measuring_seconds": 0.0,
    "cached": False,
    "test": None,
    "usage": {"library": "transformers", "pipeline_tag": TASK, "packages": [], "code": ""},
    "labels": [],
    "attempts": [],
    "notes": {},
    "measurements": {},
    "against_reference": None,
    "against_fastest": None,
    "against_parent": None,
    "against_named": [],
}
_EMPTY_OUTCOME: Mapping[str, Any] = {
    "limits": [],
    "on_miss": "keep_best",
    "decide": "point",
    "met": False,
}
_EMPTY_BUDGETS: Mapping[str, Any] = {
    "budget": {**_EMPTY_OUTCOME, "best": None, "nearest": None, "verdicts": {}},
    "step_budget": {**_EMPTY_OUTCOME, "of_recipe": False, "verdicts": []},
}


def whole(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a report as far as a test states them, with every key that one must have."""
    empty = {**rich_report(), "steps": [], "findings": [], "hub_models": []}
    found = {**empty, **values}
    found["task"] = {"options": {}, **found["task"]}
    found["environment"] = {**empty["environment"], **found["environment"]}
    found["steps"] = [_whole_step(step) for step in found["steps"]]
    if found["budget"]:
        found["budget"] = {**_EMPTY_BUDGETS["budget"], **found["budget"]}
    found["step_budgets"] = {
        name: {**_EMPTY_BUDGETS["step_budget"], **outcome}
        for name, outcome in found["step_budgets"].items()
    }
    return found


def _whole_step(values: Mapping[str, Any]) -> dict[str, Any]:
    found = {**_EMPTY_STEP, **values}
    found["traits"] = {**_EMPTY_STEP["traits"], **found["traits"]}
    found["measurements"] = _whole_measurements(found["measurements"])
    for side in ("against_reference", "against_fastest", "against_parent"):
        if found[side]:
            found[side] = _whole_against(found[side])
    found["against_named"] = [_whole_against(against) for against in found["against_named"]]
    return found


def _whole_against(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "comparisons": _whole_measurements(values["comparisons"])}


def _whole_measurements(values: Mapping[str, Any]) -> dict[str, Any]:
    empty = {"unit": "", "direction": "higher"}
    return {name: {"name": name, **empty, **m} for name, m in values.items()}
