"""Fresh models: the types and keys that a plan knows without importing transformers, and what a run
tries at first."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from commands import Command, assert_mistakes
from transformers import CONFIG_MAPPING
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from compress.errors import CompressError, UsageError
from compress.planning import Plan, make_plan
from compress.pretrained.families import ByType, Families, Family, read_families, write_families
from compress.recipes.recipe import read_recipe
from compress.registry.plugins import Registry
from compress.running.families import known_families
from compress.running.making import Products
from compress.running.preflight import refuse_wrong_configuration
from compress.store.runfolder import RunFolder
from compress.store.store import Store
from compress.workers.jobs import configuring
from compress.workers.jobs import families as asking_job
from compress.workers.protocol import AskFamilies, Chosen, ConfigureModel, Finished, PrepareData

RECIPE = """\
task: {text-classification: {max_length: 16}}
model: {type: bert, hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, \
intermediate_size: 32}
data: {train: train.csv, test: test.csv}
stages:
  - pretrain: {}
    task: {fill-mask: {max_length: 16}}
  - finetune
"""
Planned = Callable[..., Plan]
FakeModel = Callable[..., Path]


@pytest.fixture
def planned(
    csv_data: Path, write_recipe: Callable[..., Path], registry: Registry, families: Families
) -> Planned:
    """``planned("model.hidden_size=8")``: the plan of ``RECIPE`` with these overrides."""
    return lambda *overrides: make_plan(
        read_recipe(write_recipe(RECIPE), overrides), registry, families
    )


def test_the_families_are_those_that_transformers_has(families: Families) -> None:
    own = set(CONFIG_MAPPING_NAMES)  # a plugin may have registered more in this process
    assert families.model_types() == own
    assert all(families.family_of(kind) for kind in own)
    assert families.family_of("unheard-of") is None


def test_every_entry_of_a_config_is_a_key_of_its_family(families: Families) -> None:
    own = {"architectures", "transformers_version", "model_type"}
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
        "patchtst",
        "gpt-sw3",
    ):
        family, config = family_named(kind, families), CONFIG_MAPPING[kind]()
        written = {key for key in config.to_dict() if not key.startswith("_")}
        assert {key for key in written if not family.knows(key)} <= own, kind
        assert {field.name for field in fields(config)} - family.keys <= own, kind
        assert config.attribute_map.keys() <= family.keys, kind
        assert all(getattr(config, name) == family.defaults[name] for name in family.defaults), kind
        assert {"num_labels", "torch_dtype"} <= family.keys, kind
        assert "hiden_size" not in family.keys and "trust_remote_code" not in family.keys


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("bert", "layer_norm_eps"),  # a field
        ("distilbert", "num_hidden_layers"),  # another name of one
        ("funnel", "num_blocks"),  # a property that can be set
        ("llama", "rope_theta"),  # taken out of kwargs
    ],
)
def test_a_key_is_known_from_wherever_a_config_class_takes_it(
    kind: str, key: str, families: Families
) -> None:
    assert key in family_named(kind, families).keys


def test_a_key_has_the_value_that_stands_under_any_of_its_names_else_its_default(
    families: Families,
) -> None:
    family = family_named("distilbert", families)
    configs: list[dict[str, int]] = [{"n_layers": 2}, {"num_hidden_layers": 3}, {}]
    assert [family.value(config, "num_hidden_layers") for config in configs] == [2, 3, 6]
    assert family.value({"num_hidden_layers": 3}, "n_layers") == 3


def family_named(kind: str, families: Families) -> Family:
    family = families.family_of(kind)
    assert family is not None, kind
    return family


def test_a_key_that_is_declared_nowhere_may_be_read_by_the_models_code(
    planned: Planned, families: Families
) -> None:
    family = family_named("qwen2", families)
    assert "head_dim" not in family.keys and family.knows("head_dim")
    assert not family.knows("head_dimm")
    values = "{type: qwen2, head_dim: 8, rope_theta: 1e4, num_labels: 2}"
    assert planned(f"model={values}").fresh == {
        "type": "qwen2",
        "head_dim": 8,
        "rope_theta": 1e4,
        "num_labels": 2,
    }


def test_transformers_is_asked_once_and_only_where_a_family_is_needed(
    tmp_path: Path, asking: list[Path]
) -> None:
    store, notes = Store(tmp_path / "store"), list[str]()
    known_families(store, notes.append)
    assert (asking, notes, store.root.exists()) == ([], [], False)
    for _ in range(2):
        families = known_families(store, notes.append)
        assert families.model_types() == {"bert"} and families.family_of("bert") == BERT
    (note,) = notes
    assert len(asking) == 1 and note.startswith("asking transformers 5.")


BERT = Family(frozenset({"hidden_size"}), renamed={"width": "hidden_size"}, defaults={"layers": 12})


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The jobs that ask for the families, each answered with one of them."""
    asked: list[Path] = []

    def run_job(job: AskFamilies, file: Path, *_: Any) -> Finished:
        asked.append(file)
        write_families(job.output, {"bert": BERT})
        return Finished()

    monkeypatch.setattr("compress.workers.supervisor.run_job", run_job)
    return asked


def test_a_family_that_lacks_a_package_of_its_own_is_a_type_without_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry
) -> None:
    class Lacking(dict[str, Any]):
        def __getitem__(self, kind: str) -> Any:
            raise ImportError(f"{kind} needs a package that is missing")

    monkeypatch.setattr("transformers.CONFIG_MAPPING", Lacking(odd=None))
    asking_job.run(AskFamilies(tmp_path), None, registry)  # type: ignore[arg-type]
    families = Families(lambda: read_families(tmp_path))
    assert families.model_types() == {"odd"} and families.family_of("odd") is None


def test_a_layer_count_that_a_config_states_asks_nobody(
    registry: Registry, csv_data: Path, write_recipe: Callable[..., Path], fake_model: FakeModel
) -> None:
    def ask() -> ByType:
        raise AssertionError("nobody needs a family")

    fake_model(num_hidden_layers=3)
    start = RECIPE.index("model:"), RECIPE.index("data:")
    text = RECIPE[: start[0]] + "model: ./model\n" + RECIPE[start[1] :]
    make_plan(read_recipe(write_recipe(text)), registry, Families(ask))


@pytest.mark.parametrize(
    "trouble", [CompressError("the worker was ended by SIGKILL"), PermissionError("read-only")]
)
def test_where_transformers_cannot_be_asked_nothing_is_checked_and_a_line_says_so(
    trouble: Exception,
    tmp_path: Path,
    csv_data: Path,
    write_recipe: Callable[..., Path],
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run_job(*_: Any) -> dict[str, Any]:
        raise trouble

    monkeypatch.setattr("compress.workers.supervisor.run_job", run_job)
    notes: list[str] = []
    families = known_families(Store(tmp_path / "store"), notes.append)
    recipe = read_recipe(write_recipe(RECIPE), ["model.hiden_size=130", "model.type=bertt"])
    plan = make_plan(recipe, registry, families)
    assert plan.fresh and plan.fresh["hiden_size"] == 130 and plan.fresh["type"] == "bertt"
    assert notes[1:] == [
        f"warning: the type and the keys of a fresh model are not checked: {trouble}"
    ]


def test_without_transformers_nothing_is_checked(
    tmp_path: Path, asking: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compress.running.families.versions", lambda names: {})
    notes: list[str] = []
    assert known_families(Store(tmp_path), notes.append).model_types() == frozenset()
    assert (asking, notes) == ([], [])


def test_an_unknown_key_or_type_is_told_at_its_place_without_importing_anything_heavy(
    command: Command, csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    recipe = write_recipe(RECIPE.replace("hidden_size: 16", "hiden_size: 16, dim: 3"))
    assert_mistakes(
        command("plan", recipe),
        recipe,
        [
            ("2:21", ["a bert model has no 'hiden_size'", "did you mean 'hidden_size'?"]),
            ("2:37", ["has no 'dim'"]),
        ],
    )
    recipe = write_recipe(RECIPE.replace("type: bert", "type: bertt"))
    assert_mistakes(
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
    assert_mistakes(
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
    assert_mistakes(
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
    assert_mistakes(
        command("plan", recipe),
        recipe,
        [("2:37", ["layer_norm_eps: got nan: expected numbers that are finite"])],
    )


def test_an_unknown_key_of_an_override_is_told(planned: Planned) -> None:
    with pytest.raises(
        UsageError, match=r"^--set model.hiden_size=130: a bert model has no 'hiden_size'"
    ):
        planned("model.hiden_size=130")


def test_the_keys_of_a_family_that_cannot_be_imported_are_not_checked(
    csv_data: Path, write_recipe: Callable[..., Path], registry: Registry
) -> None:
    recipe = read_recipe(write_recipe(RECIPE), ["model.hiden_size=130"])
    plan = make_plan(recipe, registry, Families(lambda: {"bert": None}))
    assert plan.fresh and plan.fresh["hiden_size"] == 130


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


def test_a_family_that_transformers_does_not_know_is_left_to_its_plugin(
    tmp_path: Path, registry: Registry
) -> None:
    configuring.run(job_of({"type": "unheard-of"}, tmp_path), None, registry)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


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
