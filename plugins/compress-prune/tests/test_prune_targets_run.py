"""A target of latency in a plan, and in a run with a real engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import write_fake_data, write_fake_model
from kept_families import kept_families
from running import TASK, run, write_place
from tiny import LABELS, save_bert, task_named

from compress.artifact import Artifact
from compress.errors import UsageError
from compress.planning import load_plan
from compress.registry.plugins import Registry, load_plugins

RECIPE = (
    TASK
    + "model: ./model\ndata: {train: train.csv, test: test.csv}\nbenchmark: {effort: quick}\n"
    + "stages:\n  - prune.structured: OPTIONS\n"
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_plugins()


@pytest.fixture
def plan(tmp_path: Path, registry: Registry) -> Callable[[str], Any]:
    """``plan("{layers: 1}")``: the step of a recipe with these options of the stage."""
    write_fake_data(tmp_path)
    write_fake_model(tmp_path)

    def planned(options: str) -> Any:
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(RECIPE.replace("OPTIONS", options), encoding="utf-8")
        (step,) = load_plan(str(recipe), (), registry, kept_families()).steps
        return step

    return planned


def test_only_a_latency_is_served_by_something(plan: Callable[[str], Any]) -> None:
    assert {"export.onnx", "export.onnx fusions=true"} <= set(
        plan("{target: {latency: 2x}}").choices
    )
    assert plan("{target: {latency: 2x}, serve: []}").choices == {}
    assert list(plan("{target: {latency: 2x}, serve: [quantize.onnx]}").choices) == [
        "quantize.onnx"
    ]
    for others in ("{feed_forward: 0.5}", "{target: {parameters: 0.5}}"):
        assert plan(others).choices == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{target: {latency: 2}}", "target.latency"),
        ("{target: {latency: 0.5x}}", "asks for no gain"),
        ("{target: {speed: 2x}}", "speed"),
        ("{target: {latency: 2x}, serve: [export.onx]}", "no stage 'export.onx'.*export.onnx"),
        ("{target: {latency: 2x}, serve: [prune.structured: {target: {latency: 2x}}]}", "more"),
    ],
)
def test_mistakes_of_a_target_have_their_place(
    plan: Callable[[str], Any], options: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as error:
        plan(options)
    assert "recipe.yaml:" in str(error.value)


@pytest.mark.slow
def test_a_run_cuts_to_a_latency_in_the_engine_that_serves(tmp_path: Path) -> None:
    options = "{target: {latency: 1.1x}, serve: [export.onnx]}"
    place = write_place(tmp_path / "place", target=RECIPE.replace("OPTIONS", options))
    (place / "model").mkdir()
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 2048}
    save_bert(place / "model", task_named("text-classification"), LABELS, **shape)
    (place / "model" / "compress.json").unlink()  # as any model folder from outside
    made = run(place, "target.yaml")
    told = made.step("prune.structured")["notes"]["target"]
    assert (told["form"], told["engine"]) == ("export.onnx", "onnxruntime")
    assert told["predicted"] > 1.05 and told["measured"] > 1
    manifest = Artifact.open(made.artifact("prune.structured")).manifest
    assert manifest.traits.shape == "stock" and manifest.notes["feed_forward"][0] < 2048
    # What was tried is no product: the model from outside, its conversion, and the result are.
    assert len(list((place / "store" / "products" / "artifact").iterdir())) == 3
