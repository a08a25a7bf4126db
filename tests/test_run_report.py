"""What a measured run says: the report, the order of events, and each answer under its example's
id."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import running
import torch
from installing import install
from running import CHAIN, TASK, Run, run, write_place
from tiny import read, save_bert, sentences, task_named
from transformers import AutoModelForSequenceClassification

from compress.artifact import Artifact
from compress.machine import gpus
from compress.processor import TextProcessor
from compress.store.runfolder import RunFolder

pytest_plugins = ["finished"]

MEASURED = {
    "quality",
    "latency_p50",
    "latency_p95",
    "throughput",
    "memory",
    "memory_gpu",
    "size",
    "parameters",
    "load_seconds",
}


def measurements(step: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = step["measurements"]
    return found


def test_the_given_model_is_the_reference_where_it_serves_the_task(given: Run) -> None:
    report = given.report
    assert (report["state"], report["reference"]) == ("finished", "model")
    roles = {step["name"]: step["role"] for step in report["steps"]}
    engines = {f"model@onnxruntime{suffix}": "reference-engine" for suffix in ("", "-fused")}
    assert roles == {"model": "reference", **engines, "distill": "step"}
    assert report["fastest_float_engine"] in (
        "model",
        "model@onnxruntime",
        "model@onnxruntime-fused",
    )


def test_every_artifact_is_measured_in_every_way(given: Run) -> None:
    for step in given.report["steps"]:
        assert measurements(step).keys() >= MEASURED, step["name"]
        for name, m in measurements(step).items():
            assert (m["value"] is None) == bool(m["absent"]), f"{step['name']} {name}"
            assert m["direction"] in ("higher", "lower", "neither")


def test_memory_of_a_gpu_that_is_not_there_is_absent_with_the_reason(given: Run) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU, whose memory is measured")
    for step in given.report["steps"]:
        gpu = measurements(step)["memory_gpu"]
        assert (gpu["value"], gpu["absent"]) == (None, "the model ran on the cpu")
        assert measurements(step)["memory"]["value"] > 0


def test_measurements_have_intervals_counts_and_conditions(given: Run) -> None:
    for step in given.report["steps"]:
        for name in ("quality", "latency_p50", "latency_p95", "throughput"):
            m = measurements(step)[name]
            assert m["low"] <= m["value"] <= m["high"], f"{step['name']} {name}"
            assert m["conditions"]["examples"] == 16 and m["n"] > 1
        latency = measurements(step)["latency_p50"]
        assert (latency["conditions"]["batch"], latency["conditions"]["threads"], latency["n"]) == (
            1,
            1,
            16 * 5,
        )


def test_sizes_and_parameters_are_those_of_the_artifact(given: Run) -> None:
    for step in given.report["steps"]:
        folder = given.folder / step["folder"]
        files = [
            path for path in folder.rglob("*") if path.is_file() and path.name != "compress.json"
        ]
        assert measurements(step)["size"]["value"] == sum(path.stat().st_size for path in files)
    model = AutoModelForSequenceClassification.from_pretrained(given.artifact("distill"))
    assert measurements(given.step("distill"))["parameters"]["value"] == sum(
        p.numel() for p in model.parameters()
    )


def test_a_step_is_compared_with_the_reference_its_engines_and_the_step_before(given: Run) -> None:
    step, reference = given.step("distill"), given.step("model")
    against = step["against_reference"]
    assert (against["name"], step["against_parent"]["name"]) == ("model", "model")
    assert step["against_fastest"]["name"] == given.report["fastest_float_engine"]
    for name in ("size", "quality", "latency_p50"):
        mine, theirs = (measurements(s)[name]["value"] for s in (step, reference))
        assert against["changes"][name]["difference"] == pytest.approx(mine - theirs)
        if theirs:
            assert against["changes"][name]["quotient"] == pytest.approx(mine / theirs)
    assert against["changes"]["parameters"]["quotient"] < 1
    assert "memory_gpu" not in against["changes"]
    for ratio in (against["comparisons"]["speedup"], against["comparisons"]["throughput_speedup"]):
        assert 0 < ratio["low"] <= ratio["value"] <= ratio["high"]
        assert ratio["conditions"]["rounds"] in (3, 5)
    assert reference["against_reference"] is None


@pytest.mark.skipif(bool(gpus()), reason="a GPU's memory is for the next step")
def test_a_step_is_measured_beside_processes_that_are_there_already(given: Run) -> None:
    jobs = (given.folder / "logs").glob("measure-distill/*.job.json")
    assert [job.name for job in jobs] == ["distill.job.json"]


def test_a_report_says_on_what_and_of_what_it_was_made(given: Run) -> None:
    report = given.report
    assert report["recipe"] == (given.place / "given.yaml").read_text()
    assert {"torch", "transformers", "onnxruntime", "compress-toolkit"} <= report["environment"][
        "versions"
    ].keys()
    assert report["environment"]["memory_bytes"] > 0
    for view in ("report.md", "recipe.yaml", "overrides.json"):
        assert (given.folder / view).is_file()
    text = (given.folder / "report.md").read_text()
    assert "memory\\_gpu: the model ran on the cpu" in text and "distill" in text


def test_events_come_in_the_order_of_the_work(given: Run) -> None:
    events = given.events[: [e["event"] for e in given.events].index("run_finished") + 1]
    notes = [e for e in events if e["event"] == "note"]
    assert any(n["text"].startswith("finding: model is not shown to be better") for n in notes)
    said = [(e["event"], e.get("step", "")) for e in events if e not in notes]
    assert said == [
        ("run_started", ""),
        ("data_summary", ""),
        ("measuring", "model"),
        ("measuring", "model@onnxruntime"),
        ("measuring", "model@onnxruntime-fused"),
        ("step_started", "distill"),
        ("measuring", "distill"),
        ("step_finished", "distill"),
        ("run_finished", ""),
    ]
    times = [e["time"] for e in events]
    assert times == sorted(times)
    lines = next(e for e in events if e["event"] == "data_summary")["lines"]
    assert [line.split(":")[0] for line in lines[:3]] == ["train", "validation", "test"]
    assert "40 rows; " in lines[0] and " tokens (median)" in lines[0]
    splits = given.report["data_summaries"]["data"]["splits"]
    assert splits["test"]["rows"] == 16 and splits["test"]["tokens"]["max_length"] == 16
    told = next(e for e in events if e["event"] == "step_finished")["record"]
    assert told["cached"] is False and told["seconds"] > 0


def answers_of(run: Run, name: str) -> list[dict[str, Any]]:
    """The answers of a step to the test split, as kept in the run's folder."""
    text = (run.folder / "measurements" / f"{name}.json").read_text(encoding="utf-8")
    answers: list[dict[str, Any]] = json.loads(text)["kept"]["quality"][0]["predictions"]
    return answers


def test_each_answer_stands_under_the_id_of_its_example(given: Run) -> None:
    """Each example is asked again, alone: batches made by length must not mix up answers."""
    task = task_named("text-classification")
    rows = read(sentences(16, 2), task, split="test")
    for name in ("model", "distill"):
        saved = answers_of(given, name)
        assert [p["id"] for p in saved] == [row["id"] for row in rows]
        model = AutoModelForSequenceClassification.from_pretrained(given.artifact(name))
        features = task.features(rows, TextProcessor.load(given.artifact(name)))
        lengths = [len(f["input_ids"]) for f in features]
        assert len(set(lengths)) > 5 and lengths not in (
            sorted(lengths),
            sorted(lengths, reverse=True),
        )
        for prediction, f in zip(saved, features, strict=True):
            with torch.no_grad():
                shares = model(torch.tensor([f["input_ids"]])).logits[0].softmax(0)
            assert prediction["label"] == int(shares.argmax())
            assert prediction["score"] == pytest.approx(float(shares.max()), abs=1e-5)
        right = [p["label"] == row["label"] for p, row in zip(saved, rows, strict=True)]
        assert measurements(given.step(name))["quality"]["value"] == pytest.approx(sum(right) / 16)


def test_the_answers_of_all_engines_agree(given: Run) -> None:
    one, *others = (
        answers_of(given, name)
        for name in ("model", "model@onnxruntime", "model@onnxruntime-fused")
    )
    for other in others:
        assert [p["id"] for p in one] == [p["id"] for p in other]
        for mine, theirs in zip(one, other, strict=True):
            assert theirs["score"] == pytest.approx(mine["score"], abs=1e-4)


def test_the_same_command_again_measures_nothing_anew(given_alone: Run) -> None:
    before, count = given_alone.report, len(given_alone.events)
    again = run(given_alone.place, "given.yaml")
    assert again.folder == given_alone.folder
    said = [e["event"] for e in again.events[count:]]
    assert [event for event in said if event != "note"] == [
        "run_started",
        "data_summary",
        "step_started",
        "step_finished",
        "run_finished",
    ]
    for old, new in zip(before["steps"], again.report["steps"], strict=True):
        assert new["cached"] and new["measurements"] == old["measurements"]
        assert new["against_reference"] == old["against_reference"]


@pytest.mark.slow
def test_an_engine_of_the_reference_that_is_measured_later_is_compared_as_in_one_sitting(
    given_alone: Run,
) -> None:
    name = "model@onnxruntime"
    before = given_alone.step(name)
    RunFolder(given_alone.folder).measured(name).unlink()
    again = run(given_alone.place, "given.yaml").step(name)
    assert again["measurements"].keys() == before["measurements"].keys()
    assert (
        again["against_reference"]["comparisons"].keys()
        == before["against_reference"]["comparisons"].keys()
        >= {"flips"}
    )


@pytest.mark.slow
def test_every_kind_of_artifact_is_measured_against_the_reference(
    chain: Run, tmp_path: Path
) -> None:
    """The chain that was made without meters, now with them: nothing is made anew, all is
    measured."""
    place = write_place(tmp_path / "place", chain=CHAIN)
    shutil.copytree(chain.store, place / "store")
    measured = run(place, "chain.yaml", "--set", "benchmark.effort=quick")
    report = measured.report
    assert report["reference"] == "teacher" and all(step["cached"] for step in report["steps"])
    assert len(report["steps"]) == 7, (
        "the seven of the recipe; a quick run has the reference in no other engine"
    )
    for step in report["steps"]:
        assert measurements(step).keys() >= MEASURED, step["name"]
        if step["name"] in ("pretrain", "teacher"):
            assert step["against_reference"] is None, "quality is compared within one task"
            continue
        assert step["against_reference"]["name"] == "teacher"
        assert (
            step["against_parent"]["comparisons"].keys()
            == step["against_reference"]["comparisons"].keys()
        )
        assert step["against_reference"]["comparisons"]["speedup"]["value"] > 0


def test_the_command_report_shows_a_run_and_rebuilds_its_views(
    given_alone: Run, tmp_path: Path
) -> None:
    page = given_alone.folder / "report.md"
    before = page.read_text()
    page.unlink()
    process = running.start(given_alone.place, "report", str(given_alone.folder))
    assert process.wait() == 0
    shown = (given_alone.place / "output").read_text()
    assert "distill" in shown and "not measured: memory_gpu: the model ran on the cpu" in shown
    assert page.read_text() == before
    assert running.start(tmp_path, "report", str(tmp_path)).wait() == 2
    assert "is not a run's folder" in (tmp_path / "output").read_text()


@pytest.mark.slow
def test_a_stage_chooses_among_candidates_by_what_the_instrument_says_of_them(
    tmp_path: Path,
) -> None:
    place = write_place(
        tmp_path / "place",
        choose=TASK + "model: ./model\ndata: {train: train.csv, test: test.csv}\n"
        "benchmark: {effort: quick}\nstages: [toy.choose]\n",
    )
    (place / "model").mkdir()
    whole = save_bert(place / "model", task_named("text-classification"))
    (place / "model" / "compress.json").unlink()  # as any model folder from outside
    environ = install(place / "site", "compress-toy", without="onnx")
    made = run(place, "choose.yaml", environ=environ)
    notes = Artifact.open(made.artifact("toy.choose")).manifest.notes
    assert (
        notes["best"] == "float16" and notes["sizes"]["float16"] < 0.7 * notes["sizes"]["float32"]
    )
    assert notes["rows"] == 16 and notes["speedup"] > 0
    weights = (made.artifact("toy.choose") / "model.safetensors").stat().st_size
    assert weights < 0.6 * (whole.folder / "model.safetensors").stat().st_size
    assert made.step("toy.choose")["measurements"]["size"]["value"] == notes["sizes"]["float16"]
