"""Fresh models: the types and keys that a plan knows without importing transformers, and what a run
tries at first."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import Command
from test_recipe_mistakes import assert_told
from transformers import CONFIG_MAPPING

from compress.errors import UsageError
from compress.planning import Plan, make_plan
from compress.pretrained.families import family_of, model_types, models_read
from compress.recipes.recipe import read_recipe
from compress.registry.plugins import Registry
from compress.running.making import Products
from compress.running.preflight import refuse_wrong_configuration
from compress.store.runfolder import RunFolder
from compress.store.store import Store
from compress.workers.jobs import configuring
from compress.workers.protocol import Chosen, ConfigureModel, Finished, PrepareData

RECIPE = """\
task: {text-classification: {max_length: 16}}
model: {type: bert, hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 32}
data: {train: train.csv, test: test.csv}
stages:
  - pretrain: {}
    task: {fill-mask: {max_length: 16}}
  - finetune
"""
Planned = Callable[..., Plan]


@pytest.fixture
def planned(csv_data: Path, write_recipe: Callable[..., Path], registry: Registry) -> Planned:
    """``planned("model.hidden_size=8")``: the plan of ``RECIPE`` with these overrides."""
    return lambda *overrides: make_plan(read_recipe(write_recipe(RECIPE), overrides), registry)


def test_the_types_and_keys_that_are_read_are_those_that_transformers_has() -> None:
    assert model_types() == set(CONFIG_MAPPING)
    for kind in (
        "bert",
        "roberta",
        "distilbert",
        "electra",
        "deberta-v2",
        "data2vec-text",
        "llama",
        "t5",
        "layoutlm",
    ):
        family, cls = family_of(kind), CONFIG_MAPPING[kind]
        assert family is not None, kind
        fields = {f.name: f.default for f in dataclasses.fields(cls) if not f.name.startswith("_")}
        assert fields.keys() - family.keys <= {"architectures", "transformers_version"}, kind
        assert cls.attribute_map.keys() <= family.keys, kind
        assert all(family.defaults[name] == fields[name] for name in family.defaults), kind
        assert "hiden_size" not in family.keys and "trust_remote_code" not in family.keys


def test_a_key_has_the_value_that_stands_under_any_of_its_names_else_its_default() -> None:
    family = family_of("distilbert")
    assert family is not None
    configs: list[dict[str, int]] = [{"n_layers": 2}, {"num_hidden_layers": 3}, {}]
    assert [family.value(config, "num_hidden_layers") for config in configs] == [2, 3, 6]
    assert family.value({"num_hidden_layers": 3}, "n_layers") == 3


def test_a_key_that_is_declared_nowhere_may_be_read_by_the_models_code(planned: Planned) -> None:
    assert models_read("qwen2", "head_dim") and not models_read("qwen2", "head_dimm")
    values = "{type: qwen2, head_dim: 8, rope_theta: 1e4, num_labels: 2}"
    assert planned(f"model={values}").fresh == {
        "type": "qwen2",
        "head_dim": 8,
        "rope_theta": 1e4,
        "num_labels": 2,
    }


def test_an_unknown_key_or_type_is_told_at_its_place_without_importing_anything_heavy(
    command: Command, csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    recipe = write_recipe(RECIPE.replace("hidden_size: 16", "hiden_size: 16, dim: 3"))
    assert_told(
        command("plan", recipe),
        recipe,
        [
            ("2:21", ["a bert model has no 'hiden_size'", "did you mean 'hidden_size'?"]),
            ("2:37", ["has no 'dim'"]),
        ],
    )
    recipe = write_recipe(RECIPE.replace("type: bert", "type: bertt"))
    assert_told(
        command("plan", recipe),
        recipe,
        [("2:15", ["no model type 'bertt'", "did you mean 'bert'?"])],
    )
    answer = command("plan", write_recipe(RECIPE))
    assert (answer.code, answer.heavy) == (
        0,
        "",
    ) and answer.cpu < 1.5  # about 0.6 on an idle machine


def test_a_key_that_the_stage_sets_itself_is_told_at_its_place(
    command: Command, csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    recipe = write_recipe(RECIPE.replace("hidden_size: 16", "vocab_size: 500, pad_token_id: 3"))
    assert_told(
        command("plan", recipe),
        recipe,
        [
            ("2:21", ["vocab_size: 'pretrain' sets it, by its option vocabulary", "leave it out"]),
            ("2:38", ["pad_token_id: 'pretrain' sets it, by the tokenizer that it trains"]),
        ],
    )


def test_options_of_a_fresh_model_s_tokenizer_are_refused_where_the_model_has_one(
    command: Command,
    csv_data: Path,
    fake_model: Callable[..., Path],
    write_recipe: Callable[..., Path],
) -> None:
    fake_model()
    start = RECIPE.index("model:"), RECIPE.index("data:")
    given = RECIPE[: start[0]] + "model: ./model\n" + RECIPE[start[1] :]
    recipe = write_recipe(
        given.replace("pretrain: {}", "pretrain: {vocabulary: 9000, lowercase: true}")
    )
    assert_told(
        command("plan", recipe),
        recipe,
        [
            (
                "5:16",
                [
                    "vocabulary is for a fresh model, and 'pretrain' starts from 'model'",
                    "leave it out",
                ],
            ),
            ("5:34", ["lowercase is for a fresh model"]),
        ],
    )


def test_a_family_without_fused_attention_can_be_built(tmp_path: Path, registry: Registry) -> None:
    configuring.run(job_of({"type": "deberta-v2", "vocab_size": 30}, tmp_path), None, registry)  # type: ignore[arg-type]
    assert (tmp_path / "config.json").is_file()


def test_a_number_that_is_not_finite_is_told(
    command: Command, csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    recipe = write_recipe(RECIPE.replace("hidden_size: 16", "layer_norm_eps: .nan"))
    assert_told(
        command("plan", recipe),
        recipe,
        [("2:37", ["layer_norm_eps: got nan: expected numbers that are finite"])],
    )


def test_an_unknown_key_of_an_override_is_told(planned: Planned) -> None:
    with pytest.raises(
        UsageError, match=r"^--set model.hiden_size=130: a bert model has no 'hiden_size'"
    ):
        planned("model.hiden_size=130")


def test_nothing_is_said_of_a_family_that_cannot_be_read(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compress.pretrained.families._root", lambda: None)
    monkeypatch.setattr("compress.pretrained.families._tables", dict)
    monkeypatch.setattr("compress.planning.fresh.family_of", family_of.__wrapped__)
    assert planned("model.hiden_size=130").fresh["hiden_size"] == 130  # type: ignore[index]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"hidden_size": "lots"}, "expected int, got str (value: 'lots')"),
        ({"hidden_size": -64}, "negative dimension -64"),
        (
            {"hidden_size": 130, "num_attention_heads": 3},
            "not a multiple of the number of attention heads (3)",
        ),
        ({"hidden_act": "gelo"}, "KeyError: 'gelo'"),
        ({"type": "t5"}, "for this kind of AutoModel: AutoModelForMaskedLM"),
    ],
)
def test_a_configuration_of_which_no_model_can_be_built_is_told_in_a_line(
    values: Mapping[str, Any], words: str, tmp_path: Path, registry: Registry
) -> None:
    with pytest.raises(UsageError) as caught:
        configuring.run(job_of(values, tmp_path), None, registry)  # type: ignore[arg-type]
    kind, text = values.get("type", "bert"), str(caught.value)
    assert (
        text.startswith(f"no {kind} model can be built of this configuration: ") and words in text
    )
    assert "\n" not in text and not list(tmp_path.iterdir())


def test_the_whole_config_of_a_model_that_can_be_built_is_kept(
    tmp_path: Path, registry: Registry
) -> None:
    configuring.run(job_of({"hidden_size": 24}, tmp_path), None, registry)  # type: ignore[arg-type]
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert (config["hidden_size"], config["num_hidden_layers"]) == (24, 12)


def test_the_head_is_the_tasks_to_configure(tmp_path: Path, registry: Registry) -> None:
    task = Chosen("text-classification", {})
    job = dataclasses.replace(
        job_of({"id2label": {"0": "a"}}, tmp_path), task=task, labels=("a", "b")
    )
    with pytest.raises(
        UsageError, match="^id2label follows from the task and its labels: leave it out"
    ):
        configuring.run(job, None, registry)  # type: ignore[arg-type]


def job_of(values: Mapping[str, Any], output: Path) -> ConfigureModel:
    task = Chosen("fill-mask", {"max_length": 16})
    fresh = {"type": "bert", "num_attention_heads": 4, **values}
    return ConfigureModel(fresh, task, (), output)


def test_a_fresh_model_is_tried_once_before_the_steps_and_refused_at_its_place(
    planned: Planned, tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def run_job(job: PrepareData | ConfigureModel, *_: Any) -> Finished:
        asked.append(type(job))
        if isinstance(job, ConfigureModel) and job.fresh["hidden_size"] < 0:
            raise UsageError("no such model")
        contents = '{"labels": [], "sizes": {}}'
        (job.output / "data.json").write_text(contents, encoding="utf-8")
        return Finished()

    monkeypatch.setattr("compress.running.making.run_job", run_job)
    products = Products(
        registry, Store(tmp_path / "store"), RunFolder(tmp_path / "run"), lambda *_, **__: None
    )
    for _ in range(2):
        refuse_wrong_configuration(planned(), products)
    assert asked == [PrepareData, ConfigureModel]
    with pytest.raises(UsageError) as caught:
        refuse_wrong_configuration(planned("model.hidden_size=-64"), products)
    assert str(caught.value) == f"{tmp_path / 'recipe.yaml'}:2:8: no such model"
