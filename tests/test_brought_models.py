"""Models that a plugin brings: planned without torch, registered where they are needed, in the keys
and the manifests of what is made of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from installing import install
from tiny import LABELS, SPECIAL, make_artifact, save_bert, sentences, task_named, word_processor

from compress.architecture import Architecture, brings_models
from compress.artifact import Artifact, Manifest
from compress.errors import UsageError
from compress.planning import Plan, make_plan
from compress.pretrained.families import Families
from compress.processor import TextProcessor
from compress.readout import ReadAt
from compress.recipes.recipe import read_recipe
from compress.registry.models import (
    all_model_origins,
    model_origins,
    refuse_missing_needs,
    register_models,
)
from compress.registry.plugins import Registered, Registry, load_plugins
from compress.serving import open_predictor
from compress.store.keys import Given, step_ingredients
from compress.store.prepared import Prepared

TASK = task_named("text-classification")
ROWS = {"train": sentences(64, 1), "test": sentences(4, 2)}
FRESH = {"type": "lstm", "hidden_size": 8, "embedding_dim": 4}
TRAINING = {"epochs": 3, "batch_size": 8, "precision": "fp32", "learning_rate": 5e-2}
HEAD = "task: text-classification\ndata: {train: train.csv, test: test.csv}\n"


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """All plugins, and the one that brings ``lstm`` models."""
    site = tmp_path_factory.mktemp("brought") / "site"
    install(site, "compress-lstm")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield load_plugins()


@pytest.fixture(scope="module")
def trained(brought: Registry, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A fresh LSTM that ``finetune`` has trained, with the tokenizer of a BERT."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "bert").mkdir()
    bert = save_bert(folder / "bert", TASK)
    return make_artifact(
        folder / "lstm",
        "finetune",
        TASK,
        ROWS,
        fresh=FRESH,
        references={"processor_of": bert},
        processor_of="bert",
        **TRAINING,
    )


class Broken(Architecture):
    """An architecture whose models cannot be registered."""

    name = "broken"
    model_types = ("broken",)

    @classmethod
    def register(cls) -> None:
        raise RuntimeError("no such kernel\nmore words")


class Silent(Broken):
    """One that forgets its config."""

    name = "silent"
    model_types = ("silent",)

    @classmethod
    def register(cls) -> None:
        pass


def having(registry: Registry, *architectures: type[Architecture]) -> Registry:
    """``registry`` with more architectures, of ``acme 1.0``."""
    more = {each.name: Registered(each.name, each, "acme", "1.0") for each in architectures}
    return replace(registry, architectures={**registry.architectures, **more})


def unasked() -> Families:
    """Families that fail the test if transformers is asked for them."""

    def ask() -> dict[str, Any]:
        raise AssertionError("transformers was asked")

    return Families(ask)


@pytest.fixture
def planned(csv_data: Path, write_recipe: Callable[..., Path], brought: Registry) -> Any:
    """``planned(text)``: the plan of a recipe; transformers is asked for nothing."""

    def plan(text: str, registry: Registry = brought) -> Plan:
        return make_plan(read_recipe(write_recipe(HEAD + text)), registry, unasked())

    return plan


# plans


def test_a_plan_checks_the_keys_of_a_model_that_a_plugin_brings(
    planned: Callable[..., Plan], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    save_bert(tmp_path / "model", TASK)
    steps = "stages: [finetune: {processor_of: ./model}]\n"
    assert planned("model: {type: lstm, cell: gru}\n" + steps).fresh == {
        "type": "lstm",
        "cell": "gru",
    }
    with pytest.raises(
        UsageError, match=r"recipe.yaml:3:21: a lstm model has no 'hiden_size' \(did"
    ):
        planned("model: {type: lstm, hiden_size: 8}\n" + steps)
    with pytest.raises(
        UsageError, match="num_hidden_layers: got 0: a model has one layer at least"
    ):
        planned("model: {type: lstm, num_hidden_layers: 0}\n" + steps)


def test_a_fresh_model_that_is_fine_tuned_needs_the_tokenizer_of_another(
    planned: Callable[..., Plan], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"fresh model needs processor_of or vocabulary \(Step"):
        planned("model: {type: lstm}\nstages: [finetune]\n")
    with pytest.raises(UsageError, match="processor_of or vocabulary, and has several"):
        steps = "stages: [finetune: {processor_of: other, vocabulary: 400}]\n"
        planned("model: {type: lstm}\n" + steps)
    plan = planned("model: {type: lstm}\nstages: [finetune: {vocabulary: 400}]\n")
    assert plan.steps[0].options.vocabulary == 400
    (tmp_path / "model").mkdir()
    save_bert(tmp_path / "model", TASK)
    with pytest.raises(
        UsageError, match="processor_of is for a fresh model, and 'finetune' starts"
    ):
        planned("model: ./model\nstages: [finetune: {processor_of: ./model}]\n")


def test_a_later_step_can_start_from_the_fresh_model_with_an_earlier_step_s_tokenizer(
    planned: Callable[..., Plan], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    save_bert(tmp_path / "model", TASK)
    plan = planned(
        "model: {type: lstm, num_hidden_layers: 2}\nstages:\n"
        "  - finetune: {processor_of: ./model}\n"
        "  - finetune: {processor_of: finetune}\n    name: again\n    from: model\n"
    )
    assert [step.parent for step in plan.steps] == [None, None]
    assert plan.steps[1].references == {"processor_of": "finetune"}


def test_nothing_can_be_cut_from_a_model_without_a_layout(
    planned: Callable[..., Plan], tmp_path: Path, trained: Artifact
) -> None:
    steps = "stages: [prune.structured: {feed_forward: 0.5}]\n"
    with pytest.raises(UsageError, match="nothing can be cut from lstm models"):
        planned(f"model: {trained.folder}\n" + steps)


# keys and manifests


def test_the_plugin_s_version_is_in_the_key_of_what_is_made_of_its_models_alone(
    planned: Callable[..., Plan], tmp_path: Path, trained: Artifact, brought: Registry
) -> None:
    (tmp_path / "model").mkdir()
    bert = save_bert(tmp_path / "model", TASK)
    entry = brought.architectures["lstm"]
    newer = {**brought.architectures, "lstm": replace(entry, version="2.0")}
    step = planned("model: ./model\nstages: [finetune]\n").steps[0]

    def is_changed(parent: Artifact) -> bool:
        keys = {
            step_ingredients(step, Given(parent, data=Prepared(Path(), "d")), registry).key
            for registry in (brought, replace(brought, architectures=newer))
        }
        return len(keys) == 2

    assert is_changed(trained) and not is_changed(bert)
    assert model_origins(brought, ["lstm", "bert"]) == {"lstm": ["compress-lstm 1.0", {}]}


def test_its_manifest_names_the_distribution_without_which_it_cannot_be_opened(
    trained: Artifact, tmp_path: Path
) -> None:
    manifest = trained.manifest
    assert manifest.needs == ("compress-toolkit", "compress-lstm")
    assert manifest.versions["compress-lstm"] == "1.0" and manifest.traits.shape == "stock"
    with pytest.raises(
        UsageError, match="needs acme-lstm, which is not installed: install it with"
    ):
        refuse_missing_needs(trained.folder, (*manifest.needs, "acme-lstm"))


def test_a_folder_whose_needs_are_not_installed_is_refused_by_name(
    trained: Artifact, tmp_path: Path, planned: Callable[..., Plan], brought: Registry
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    for file in trained.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    replace(Manifest.read(folder), needs=("acme-lstm",)).write(folder)
    with pytest.raises(UsageError, match="other needs acme-lstm, which is not installed"):
        open_predictor(folder, brought)
    with pytest.raises(UsageError, match=r"recipe.yaml:3:8: .*other needs acme-lstm"):
        planned("model: ./other\nstages: [finetune]\n")


def test_its_vocabulary_and_special_tokens_follow_from_the_tokenizer(trained: Artifact) -> None:
    config = json.loads((trained.folder / "config.json").read_text(encoding="utf-8"))
    tokenizer = word_processor().tokenizer
    assert config["vocab_size"] == tokenizer.get_vocab_size()
    assert config["pad_token_id"] == tokenizer.token_to_id("[PAD]")


# opening


def test_a_folder_of_it_is_opened_with_and_without_a_manifest(
    trained: Artifact, tmp_path: Path, brought: Registry
) -> None:
    texts = ["good w1", "bad w2 w3"]
    answers = open_predictor(trained.folder, brought)(texts)
    assert [answer["label"] for answer in answers] == ["good", "bad"], "it has learnt its data"
    folder = tmp_path / "plain"
    folder.mkdir()
    for file in trained.folder.iterdir():
        if file.name != "compress.json":
            (folder / file.name).write_bytes(file.read_bytes())
    plain = open_predictor(folder, brought)
    assert plain(texts) == answers
    assert plain.artifact.manifest.needs == ("compress-toolkit", "compress-lstm")


def test_a_type_that_nobody_brings_is_one_line(tmp_path: Path, registry: Registry) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    artifact = save_bert(folder, TASK)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "odd"}))
    replace(artifact.manifest, files={}).write(folder)
    from compress.models import load_config

    with pytest.raises(UsageError, match="knows no 'odd' models, and no installed plugin brings"):
        load_config(folder)


def test_a_registration_that_fails_names_plugin_and_hook_and_stops_no_other_model(
    registry: Registry,
) -> None:
    plugins = having(registry, Broken, Silent)
    with pytest.raises(UsageError) as caught:
        register_models(plugins, ["broken", "bert"])
    assert str(caught.value) == (
        "acme 1.0: compress_architectures: register of Broken failed: RuntimeError: no such "
        "kernel; without it no model of the types broken can be opened"
    )
    register_models(plugins, ["bert"])
    with pytest.raises(
        UsageError, match="Silent failed: UsageError: it registers no config for sil"
    ):
        register_models(plugins, ["silent"])


def test_two_plugins_that_claim_a_type_stop_only_what_needs_its_models(registry: Registry) -> None:
    class Other(Broken):
        name = "other"

    plugins = having(registry, Broken, Other)
    with pytest.raises(UsageError, match="'broken' is claimed by two architectures: broken, other"):
        register_models(plugins, ["broken"])
    assert model_origins(plugins, ["bert"]) == {}
    assert {"broken", "other"} <= set(all_model_origins(plugins))


def test_a_plan_refuses_embeddings_of_a_teacher_for_a_type_that_cannot_have_them(
    planned: Callable[..., Plan], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    save_bert(tmp_path / "model", TASK)
    recipe = (
        "model: ./model\nstages:\n"
        "  - distill: {losses: [logits], student: {type: TYPE, embeddings_of: teacher}}\n"
    )
    assert planned(recipe.replace("TYPE", "bilstm"))
    with pytest.raises(
        UsageError,
        match="recipe.yaml:5:.*a lstm model does not start from a teacher.*bigru, bilstm, static",
    ):
        planned(recipe.replace("TYPE", "lstm"))


def test_an_architecture_that_describes_a_family_of_transformers_brings_nothing(
    brought: Registry,
) -> None:
    architectures = brought.architectures
    assert "bert" in architectures
    brought_ones = {name for name in architectures if brings_models(architectures[name].cls)}
    assert brought_ones == {"lstm", "recurrent", "static"}


def test_a_processor_is_fitted_to_the_model_that_takes_it(brought: Registry) -> None:
    from compress.fresh import fresh_reader, processor_for

    register_models(brought, ["lstm"])
    names = ["input_ids", "token_type_ids", "attention_mask"]
    config = {**SPECIAL, "padding_side": "left", "model_input_names": names}
    theirs = TextProcessor(
        word_processor().tokenizer, config, "qwen2", read_at=ReadAt(last_position=True)
    )
    own = processor_for(fresh_reader(FRESH, TASK, LABELS, theirs), theirs, TASK)
    assert own.identity() == theirs.identity()
    assert own.config["model_input_names"] == ["input_ids", "attention_mask"]
    assert not own.read_at.last_position and "padding_side" not in own.config


# the model itself


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_answer_of_a_text_does_not_depend_on_its_batch(brought: Registry, cell: str) -> None:
    from compress.models import fresh_model

    register_models(brought, ["lstm"])
    torch.manual_seed(1)
    config = {**FRESH, "cell": cell, "num_hidden_layers": 2, "vocab_size": 21}
    model = fresh_model(config, TASK, LABELS).eval()
    ids, mask = torch.randint(5, 21, (3, 7)), torch.ones(3, 7, dtype=torch.int64)
    mask[0, 3:] = mask[1, 1:] = 0
    with torch.no_grad():
        together = model(ids, mask).logits
        for row, length in enumerate(mask.sum(dim=1)):
            alone = model(ids[row : row + 1, :length], mask[row : row + 1, :length]).logits
            assert torch.allclose(together[row], alone[0], atol=1e-6)
