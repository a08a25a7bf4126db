"""A stranger's stage that tries a model in two engines on validation rows, and keeps the best."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from installing import PLUGINS, install
from running import TASK, run, write_place
from tiny import save_bert, task_named

from compress.artifact import Artifact
from compress.errors import UsageError
from compress.planning import load_plan
from compress.pretrained.families import Families
from compress.registry.plugins import load_plugins

ROOT = Path(__file__).parent.parent
NAME = "compress-try-three"
RECIPE = (
    TASK
    + "model: ./model\ndata: {train: train.csv, validation: validation.csv, test: test.csv}\n"
    + "benchmark: {effort: quick}\nstages: [try.three]\n"
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install(tmp_path / "site", NAME)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def test_the_fastest_of_those_that_are_as_good_as_the_model_is_chosen(site: Path) -> None:
    chosen = import_module("compress_try_three.trying").chosen
    figures = {
        "as it is": {"quality": 0.9, "speedup": 1.0},
        "plain": {"quality": 0.9, "speedup": 2.0},
        "optimised": {"quality": 0.8, "speedup": 3.0},
    }
    assert chosen(figures) == "plain"
    assert chosen({**figures, "optimised": {"quality": 0.9, "speedup": 3.0}}) == "optimised"
    assert chosen({**figures, "plain": {"quality": 0.9, "speedup": 0.5}}) == "as it is"


def test_a_recipe_without_validation_rows_is_refused_when_it_is_planned(
    site: Path, tmp_path: Path, csv_data: Path, fake_model: Callable[..., Path], families: Families
) -> None:
    fake_model()
    recipe = tmp_path / "recipe.yaml"
    text = RECIPE.replace("validation: validation.csv, ", "")
    recipe.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="validation"):
        load_plan(str(recipe), (), load_plugins(), families)


@pytest.mark.slow
def test_its_choice_and_figures_are_in_the_manifest_and_the_best_is_measured(
    tmp_path: Path,
) -> None:
    place = write_place(tmp_path / "place", three=RECIPE)
    (place / "model").mkdir()
    save_bert(place / "model", task_named("text-classification"))
    (place / "model" / "compress.json").unlink()  # as any model folder from outside
    environ = install(place / "site", NAME)
    made = run(place, "three.yaml", environ=environ)
    artifact = Artifact.open(made.artifact("try.three"))
    notes = artifact.manifest.notes
    assert artifact.traits.format == "onnx" and notes["changed"] == 0
    assert set(notes["figures"]) == {"as it is", "plain", "optimised"}
    best = notes["figures"][notes["best"]]
    assert notes["best"] != "as it is" and best["speedup"] > 1
    assert best["quality"] == notes["figures"]["as it is"]["quality"]
    measured = made.step("try.three")["measurements"]["quality"]
    assert measured["conditions"]["engine"] == "onnxruntime"
    assert measured["conditions"]["split"] == "test"


def test_the_code_of_the_guide_is_the_plugin_s() -> None:
    guide = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    section = guide.split("\n### Candidates\n")[1].split("\n## ")[0]
    package = PLUGINS / NAME / "compress_try_three"
    code = "".join(file.read_text(encoding="utf-8") for file in package.glob("*.py"))
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert blocks and all(block in code for block in blocks)
