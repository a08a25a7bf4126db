"""Which task a head serves where two plugins have tasks for one kind of head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from compress_tasks.text_classification import TextClassification
from tiny import save_bert, taken_in, task_named

from compress.artifact import MANIFEST, Artifact
from compress.errors import UsageError
from compress.planning import Plan, make_plan
from compress.pretrained.families import Families
from compress.pretrained.modelfolder import folder_labels, folder_traits, head_tasks, read_config
from compress.recipes.recipe import read_recipe
from compress.registry.plugins import Registered, Registry
from compress.serving import open_predictor
from compress.store.keys import import_ingredients
from compress.workers.jobs import importing
from compress.workers.protocol import ImportModel

TEXT = "text-classification"
DATA = "{train: train.csv, test: test.csv}"
RECIPE = """\
task: {task}
model: ./model
data: {{train: train.csv, test: test.csv}}
stages: [{stages}]
"""


class Ranking(TextClassification):
    """A stranger's task for the head of a classifier."""

    name = "ranking"
    synonyms = ("rerank",)


@pytest.fixture(params=["before", "after"])
def with_ranking(registry: Registry, request: pytest.FixtureRequest) -> Registry:
    """The registry with the stranger's task before or after the others."""
    ranking = {"ranking": Registered("ranking", Ranking, "acme-rank", "1.0")}
    first, second = ranking, registry.tasks
    if request.param == "after":
        first, second = second, first
    return replace(registry, tasks={**first, **second})


@pytest.fixture
def planned(
    write_recipe: Callable[..., Path],
    csv_data: Path,
    fake_model: Callable[..., Path],
    families: Families,
) -> Callable[..., Plan]:
    """The plan of a recipe for a task, with these stages, on a classifier from outside."""
    fake_model()
    return lambda registry, task, stages: make_plan(
        read_recipe(write_recipe(RECIPE.format(task=task, stages=stages))), registry, families
    )


@pytest.mark.parametrize(
    ("task", "stages", "served"),
    [
        (TEXT, "quantize.onnx", TEXT),
        ("sentiment-analysis", "quantize.onnx", TEXT),
        ("ranking", "quantize.onnx", "ranking"),
        ("{rerank: {max_length: 16}}", "quantize.onnx", "ranking"),
        ("fill-mask", f"{{quantize.onnx: {{}}, task: {TEXT}}}", TEXT),
        ("fill-mask", "finetune", f"ranking or {TEXT}"),
    ],
)
def test_the_task_of_the_recipe_decides(
    task: str, stages: str, served: str, planned: Callable[..., Plan], with_ranking: Registry
) -> None:
    (model,) = planned(with_ranking, task, stages).inputs
    assert model.traits is not None and model.traits.task == served


def test_a_teacher_serves_the_task_of_its_step(
    planned: Callable[..., Plan], fake_model: Callable[..., Path], with_ranking: Registry
) -> None:
    fake_model("teacher")
    stages = (
        f"{{finetune: {{}}, task: {TEXT}, data: {DATA}}}, "
        f"{{distill: {{teacher: ./teacher}}, task: {TEXT}, data: {DATA}}}"
    )
    inputs = {model.name: model for model in planned(with_ranking, "ranking", stages).inputs}
    served = {name: model.traits.task for name, model in inputs.items() if model.traits}
    assert served == {"model": "ranking", "./teacher": TEXT}


def test_another_plugin_changes_neither_the_plan_nor_the_key_of_a_model(
    planned: Callable[..., Plan], registry: Registry, with_ranking: Registry
) -> None:
    (alone,) = planned(registry, TEXT, "quantize.onnx").inputs
    (beside,) = planned(with_ranking, TEXT, "quantize.onnx").inputs
    assert alone == beside
    folder = Path(alone.source)
    assert import_ingredients(alone, folder, registry) == import_ingredients(
        beside, folder, with_ranking
    )


def test_the_import_takes_the_recipe_s_task_and_its_labels(
    fake_model: Callable[..., Path], with_ranking: Registry, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    output.mkdir()
    job = ImportModel(fake_model(), "model", "model", output, ("ranking",))
    importing.run(job, None, with_ranking)  # type: ignore[arg-type]
    taken = Artifact.open(output)
    assert (taken.traits.task, taken.manifest.labels) == ("ranking", ("bad", "good"))


def test_a_head_that_nobody_chose_a_task_for_serves_none_of_them(
    fake_model: Callable[..., Path], with_ranking: Registry, tmp_path: Path
) -> None:
    folder = fake_model()
    assert head_tasks(read_config(folder), with_ranking) == ["ranking", TEXT]
    assert folder_traits(folder, with_ranking).task == f"ranking or {TEXT}"
    assert folder_labels(folder, with_ranking) == ()
    assert taken_in(folder, tmp_path / "taken", with_ranking).manifest.labels == ()


def test_answering_asks_which_task_is_meant_and_takes_the_one_that_is_named(
    with_ranking: Registry, registry: Registry, tmp_path: Path
) -> None:
    save_bert(tmp_path, task_named(TEXT))
    (tmp_path / MANIFEST).unlink()
    with pytest.raises(UsageError, match=f"may serve ranking or {TEXT}: choose one with --task"):
        open_predictor(tmp_path, with_ranking)
    assert open_predictor(tmp_path, with_ranking, "rerank").task.name == "ranking"
    chosen = open_predictor(tmp_path, with_ranking, "sentiment-analysis")
    (answer,) = chosen("good w1")
    assert chosen.task.name == TEXT and answer["label"] in ("bad", "good")
    assert open_predictor(tmp_path, registry).task.name == TEXT


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("fill-mask", f"serves {TEXT}, and not fill-mask"),
        ("text-clasification", f"there is no task 'text-clasification' \\(did you mean '{TEXT}'"),
    ],
)
def test_a_task_that_the_head_cannot_serve_is_refused(
    word: str, message: str, registry: Registry, tmp_path: Path
) -> None:
    save_bert(tmp_path, task_named(TEXT))
    for _ in ("with a manifest", "without"):
        with pytest.raises(UsageError, match=message):
            open_predictor(tmp_path, registry, word)
        (tmp_path / MANIFEST).unlink(missing_ok=True)
