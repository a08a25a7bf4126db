"""``quantize.auto`` in a plan, and in a run with real candidates."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import write_fake_data, write_fake_model
from kept_families import kept_families
from running import TASK, run, write_place
from tiny import save_bert, task_named

from compress.artifact import Artifact
from compress.errors import UsageError
from compress.planning import load_plan
from compress.registry.plugins import Registry, load_plugins

RECIPE = (
    TASK
    + "model: ./model\ndata: {train: train.csv, validation: validation.csv, test: test.csv}\n"
    + "benchmark: {effort: quick}\nstages:\n  - quantize.auto: OPTIONS\n"
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_plugins()


@pytest.fixture
def plan(tmp_path: Path, registry: Registry) -> Callable[..., Any]:
    """``plan("{rows: 10}")``: the plan of a recipe with these options of the stage."""
    write_fake_data(tmp_path)
    shutil.copyfile(tmp_path / "train.csv", tmp_path / "validation.csv")
    write_fake_model(tmp_path)

    def planned(options: str, text: str = RECIPE) -> Any:
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(text.replace("OPTIONS", options), encoding="utf-8")
        return load_plan(str(recipe), (), registry, kept_families())

    return planned


def test_the_candidates_of_a_plan_are_steps_of_its_input(plan: Callable[..., Any]) -> None:
    (step,) = plan("{candidates: [export.onnx, {quantize.onnx: {per_channel: true}}]}").steps
    assert list(step.choices) == ["export.onnx", "quantize.onnx per_channel=true"]
    for choice in step.choices.values():
        assert (choice.parent, choice.data, choice.task) == (step.parent, step.data, step.task)
    assert [choice.traits.precision for choice in step.choices.values()] == ["float", "int8"]


def test_by_default_they_are_what_the_installed_stages_offer(plan: Callable[..., Any]) -> None:
    (step,) = plan("{}").steps
    assert {"export.onnx", "export.onnx fusions=true", "quantize.onnx"} <= set(step.choices)
    without = RECIPE.replace("train: train.csv, ", "")
    (other,) = plan("{}", without).steps
    assert set(other.choices) == {
        name for name in step.choices if not name.startswith("quantize.openvino")
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{candidates: [quantize.onx]}", "there is no stage 'quantize.onx'.*quantize.onnx"),
        ("{candidates: [{quantize.onnx: {per_chanel: true}}]}", "unknown option 'per_chanel'"),
        ("{candidates: [distill: {teacher: ./model}]}", "more than this step's input"),
        ("{candidates: []}", "nothing to choose from"),
        ("{quality: 1.2}", "quality"),
    ],
)
def test_a_candidate_that_cannot_be_made_is_a_mistake_of_the_recipe(
    plan: Callable[..., Any], options: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        plan(options)


@pytest.mark.slow
def test_a_run_keeps_the_fastest_and_finds_what_it_tried_in_the_store(tmp_path: Path) -> None:
    text = RECIPE.replace("OPTIONS", "{candidates: [export.onnx, quantize.onnx], rows: 8}")
    text += "  - quantize.onnx: {}\n    from: model\n"
    place = write_place(tmp_path / "place", auto=text)
    (place / "model").mkdir()
    save_bert(place / "model", task_named("text-classification"))
    (place / "model" / "compress.json").unlink()  # as any model folder from outside
    made = run(place, "auto.yaml")
    artifact = Artifact.open(made.artifact("quantize.auto"))
    notes = artifact.manifest.notes
    assert artifact.traits.format == "onnx" and artifact.traits.task == "text-classification"
    assert [row["name"] for row in notes["tried"]] == ["export.onnx", "quantize.onnx"]
    assert sum(row["dropped"] == "" for row in notes["tried"]) == 1
    assert made.step("quantize.onnx")["cached"], "the candidate is the product of the step"
    measured = made.step("quantize.auto")["measurements"]["quality"]
    assert measured["conditions"]["engine"] == "onnxruntime"
