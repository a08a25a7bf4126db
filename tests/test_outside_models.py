"""Models from outside: which folders are taken, what is read of them, and whether their heads and
positions fit a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tiny import taken_in, task_named
from tokenizers import Tokenizer, models

import compress
from compress.artifact import MANIFEST, Artifact, Manifest, Traits, digest_files
from compress.errors import IntegrityError, Mistake, UsageError
from compress.models import fresh_model
from compress.planning import Input, Plan, make_plan
from compress.planning.reference import with_model_traits
from compress.pretrained.families import Families
from compress.pretrained.modelfolder import folder_traits
from compress.pretrained.tokens import take_tokenizer
from compress.processor import TextProcessor
from compress.recipes.recipe import read_recipe
from compress.registry.plugins import Registry
from compress.running.heads import can_be_measured, refuse_wrong_labels
from compress.running.making import Products
from compress.running.preflight import (
    refuse_unfit_options,
    refuse_unfit_sizes,
    refuse_unknown_parts,
    refuse_wrong_edges,
)
from compress.sizes import positions
from compress.store.runfolder import RunFolder
from compress.store.store import Ingredients, Store
from compress.workers.jobs import importing
from compress.workers.protocol import Finished, ImportModel

FakeModel = Callable[..., Path]
CLASSIFY = """\
task: {text-classification: {max_length: 16}}
model: ./model
data: {train: train.csv, test: test.csv}
"""
QUANTIZE, FINETUNE = "stages: [quantize.onnx]\n", "stages: [finetune]\n"


@pytest.mark.parametrize(
    ("config", "labels"),
    [
        ({}, ("bad", "good")),
        ({"id2label": {"0": "LABEL_0"}}, ()),
        ({"problem_type": "regression"}, ()),
        ({"architecture": "BertForMaskedLM"}, ()),
        ({"architecture": "BertModel"}, ()),
        ({"architecture": "BertForTokenClassification"}, ("bad", "good")),
    ],
)
def test_the_labels_of_an_imported_model_are_those_of_a_head_that_has_some(
    config: dict[str, Any],
    labels: tuple[str, ...],
    tmp_path: Path,
    registry: Registry,
    fake_model: FakeModel,
) -> None:
    own = () if "id2label" in config else ("bad", "good")
    artifact = taken_in(fake_model(labels=own, **config), tmp_path / "taken", registry)
    assert artifact.manifest.labels == labels


@pytest.mark.parametrize("name", ["vocab.txt", "merges.txt", "spiece.model"])
def test_another_vocabulary_is_another_model(
    name: str, tmp_path: Path, registry: Registry, fake_model: FakeModel
) -> None:
    folder, keys = fake_model(), []

    def make(
        ingredients: Ingredients, job_in: Any, label: str, unchanged: Callable[[], bool], *_: Any
    ) -> Any:
        assert unchanged()
        keys.append(ingredients.key)

    products = Products(
        registry, Store(tmp_path), RunFolder(tmp_path), lambda *args, **values: None
    )
    products.make = make  # type: ignore[assignment,method-assign]
    source = Input("model", str(folder), False, Traits(), "recipe.yaml:2:8")
    for text in ("a b", "a b", "a c"):
        (folder / name).write_text(text, encoding="utf-8")
        products.imported(source, "input-0")
    assert keys[0] == keys[1] != keys[2]


# folders


def broken(folder: Path, how: str) -> None:
    weights, config = folder / "model.safetensors", folder / "config.json"
    if how == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-4])
    elif how == "noise for weights":
        weights.write_bytes(b"\xff" * 64)
    elif how == "no tokenizer":
        (folder / "tokenizer.json").rename(folder / "tokenizer_config.json")
    elif how == "no model_type":
        config.write_text("{}")
    elif how == "a list for a config":
        config.write_text("[]")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("cut weights", "model.safetensors cannot be read: "),
        ("noise for weights", "model.safetensors cannot be read: "),
        ("no tokenizer", "model has no tokenizer files and no preprocessor_config.json"),
        ("no model_type", "config.json has no model_type"),
        ("a list for a config", "config.json cannot be read: it holds no JSON object"),
    ],
)
def test_a_folder_that_is_no_whole_model_is_refused_at_its_place_before_anything_starts(
    how: str,
    words: str,
    tmp_path: Path,
    csv_data: Path,
    write_recipe: Callable[..., Path],
    fake_model: FakeModel,
) -> None:
    broken(fake_model(), how)
    with pytest.raises(UsageError) as caught:
        compress.run(
            write_recipe(CLASSIFY + QUANTIZE), store=tmp_path / "store", runs=tmp_path / "runs"
        )
    (mistake,) = caught.value.mistakes
    assert mistake.where == f"{tmp_path / 'recipe.yaml'}:2:8"
    assert (
        str(tmp_path / "model") in mistake.message
        and words in mistake.message
        and "\n" not in mistake.message
    )
    assert not (tmp_path / "runs").exists()


def test_an_older_tokenizer_is_converted_and_an_empty_one_is_not_made_up(
    tmp_path: Path, registry: Registry, fake_model: FakeModel
) -> None:
    folder = fake_model()
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "day"])
    )
    output = taken_in(folder, tmp_path / "taken", registry).folder
    assert "good" in Tokenizer.from_file(str(output / "tokenizer.json")).get_vocab()
    (folder / "vocab.txt").rename(
        folder / "sentencepiece.bpe.model"
    )  # not where a BERT has its vocabulary
    with pytest.raises(UsageError, match="model has no vocabulary for a BertTokenizer"):
        taken_in(folder, tmp_path / "again", registry)


@pytest.mark.parametrize(
    ("config", "stated", "words"),
    [
        ({"model_type": "xlm"}, "{}", "a xlm model without tokenizer.json .* its XLMTokenizer is"),
        ({}, '{"tokenizer_class": "CTRLTokenizer"}', "a bert model .* its CTRLTokenizer is"),
    ],
)
def test_a_tokenizer_in_python_code_is_refused_by_name(
    config: dict[str, str],
    stated: str,
    words: str,
    tmp_path: Path,
    registry: Registry,
    fake_model: FakeModel,
) -> None:
    folder = fake_model(**config)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text(stated, encoding="utf-8")
    with pytest.raises(UsageError, match=words):
        take_tokenizer(folder, tmp_path)


@pytest.mark.parametrize(
    ("kind", "tokens", "named"),
    [
        ("bert", ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), {"mask": 4, "pad": 0, "cls": 2}),
        ("gpt2", ("<|endoftext|>",), {"eos": 0, "bos": 0, "mask": None}),
    ],
)
def test_special_tokens_that_a_class_of_transformers_has_by_default_are_named(
    kind: str,
    tokens: Sequence[str],
    named: Mapping[str, int | None],
    tmp_path: Path,
    registry: Registry,
    fake_model: FakeModel,
) -> None:
    """As google-bert/bert-base-uncased and gpt2 are on the hub: nothing is named but the length."""
    folder = fake_model(model_type=kind)
    tokenizer = Tokenizer(
        models.WordLevel(
            {token: i for i, token in enumerate((*tokens, "day"))}, unk_token=tokens[0]
        )
    )
    tokenizer.add_special_tokens(list(tokens))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        '{"model_max_length": 512, "add_bos_token": false}', encoding="utf-8"
    )
    taken = TextProcessor.load(taken_in(folder, tmp_path / "taken", registry).folder)
    assert {which: taken.token_id(which) for which in named} == named
    assert taken.config["model_max_length"] == 512


def test_weights_are_counted_and_buffers_are_not(
    tmp_path: Path, registry: Registry, fake_model: FakeModel
) -> None:
    folder = fake_model()
    save_file(
        {
            "embeddings.position_ids": np.zeros((1, 512), np.int64),
            "mask": np.zeros(7, np.bool_),
            "dense.weight": np.zeros((4, 5), np.float16),
            "dense.bias": np.zeros(4, np.float32),
        },
        folder / "model.safetensors",
    )
    assert taken_in(folder, tmp_path / "float", registry).manifest.parameters == 24
    save_file(
        {
            "dense.weight": np.zeros((4, 5), np.int8),
            "dense.bias": np.zeros(4, np.float32),
            "dense.SCB": np.zeros(4, np.float32),
            "dense.weight_format": np.zeros((), np.uint8),
        },
        folder / "model.safetensors",
    )
    assert taken_in(folder, tmp_path / "int8", registry).manifest.parameters == 24


@pytest.fixture
def here(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Imports are done in this process, which has transformers loaded."""

    def run_job(job: ImportModel, *_: Any) -> Finished:
        line: Any = None
        return importing.run(job, line, registry)

    monkeypatch.setattr("compress.running.making.run_job", run_job)


@pytest.mark.usefixtures("here")
def test_an_import_depends_on_the_manifest_and_on_the_source_s_name(
    tmp_path: Path, registry: Registry, fake_model: FakeModel
) -> None:
    products = Products(
        registry, Store(tmp_path / "store"), RunFolder(tmp_path / "run"), lambda *_, **__: None
    )
    folder = fake_model()

    def taken(path: Path) -> Manifest:
        model = Input("model", str(path), False, folder_traits(path, registry), "recipe.yaml:2:8")
        return Artifact.open(products.imported(model, "input-0")[0].folder).manifest

    plain = taken(folder)
    assert (plain.base, plain.task_options) == ("model", {})
    moved = folder.rename(tmp_path / "other")
    assert taken(moved).base == "other"
    told = Manifest(
        Traits(task="text-classification"),
        digest_files(moved),
        "slim",
        "prune.structured",
        parameters=5,
        base="acme/encoder",
        task_options={"max_length": 9},
    )
    told.write(moved)
    assert taken(moved) == replace(told, versions=taken(moved).versions)
    (moved / MANIFEST).unlink()
    assert taken(moved).base == "other"


@pytest.mark.usefixtures("here")
def test_a_stored_file_that_changed_is_an_integrity_error_still(
    tmp_path: Path, registry: Registry, fake_model: FakeModel
) -> None:
    products = Products(
        registry, Store(tmp_path / "store"), RunFolder(tmp_path / "run"), lambda *_, **__: None
    )
    folder = fake_model()
    Manifest(Traits(), digest_files(folder), "model", "import").write(folder)
    broken(folder, "cut weights")
    with pytest.raises(IntegrityError, match=r"model\.safetensors has changed"):
        products.imported(Input("model", str(folder), False, None, "recipe.yaml:2:8"), "input-0")


# heads


@pytest.fixture
def planned(
    tmp_path: Path,
    csv_data: Path,
    write_recipe: Callable[..., Path],
    registry: Registry,
    families: Families,
) -> Callable[..., Plan]:
    """The plan of a recipe's text, its reference found."""

    def make(text: str) -> Plan:
        return make_plan(read_recipe(write_recipe(text)), registry, families)

    return make


def refused(plan: Plan, artifact: Artifact, labels: Sequence[str]) -> list[Mistake]:
    """What ``refuse_wrong_labels`` says where the data have such labels."""
    try:
        refuse_wrong_labels(plan, {"model": artifact}, data_with(labels))
    except UsageError as error:
        return error.mistakes
    return []


def data_with(labels: Sequence[str]) -> Any:
    return SimpleNamespace(prepared=lambda data, task: SimpleNamespace(labels=tuple(labels)))


Planned = Callable[..., Plan]
COLOURS = ("blue", "green", "red")


def test_a_classifier_may_be_fine_tuned_to_other_labels_and_is_then_not_measured(
    planned: Planned, tmp_path: Path, registry: Registry, fake_model: FakeModel
) -> None:
    artifact = taken_in(fake_model(), tmp_path / "taken", registry)
    plan = planned(CLASSIFY + "reference: finetune\n" + FINETUNE)
    assert refused(plan, artifact, COLOURS) == []
    assert not can_be_measured(plan, artifact, data_with(COLOURS))
    assert can_be_measured(plan, artifact, data_with(["bad", "good"]))
    assert not can_be_measured(replace(plan, data=None), artifact, data_with(["bad", "good"]))


@pytest.mark.parametrize(
    ("more", "labels", "hint"),
    [
        (FINETUNE, COLOURS, "set reference: finetune"),
        (FINETUNE, ("good", "bad"), "state the model's order with data.labels"),
        (FINETUNE, ("0", "1"), "state the model's order with data.labels"),
        (QUANTIZE, COLOURS, "fine-tune it on these data first"),
        (
            "reference: finetune\nstages:\n  - finetune\n  - quantize.onnx: {}\n    from: model\n",
            COLOURS,
            "fine-tune it on these data first",
        ),
        (
            "reference: distill\nstages:\n  - distill: {teacher: model}\n",
            COLOURS,
            "fine-tune it on these data first",
        ),
    ],
)
def test_labels_that_the_reference_or_a_step_needs_are_refused_with_a_remedy_that_works(
    more: str,
    labels: Sequence[str],
    hint: str,
    planned: Planned,
    tmp_path: Path,
    registry: Registry,
    fake_model: FakeModel,
) -> None:
    artifact = taken_in(fake_model(), tmp_path / "taken", registry)
    (mistake,) = refused(planned(CLASSIFY + more), artifact, labels)
    assert mistake.where == f"{tmp_path / 'recipe.yaml'}:2:8" and mistake.hint == hint
    assert mistake.message.startswith(
        f"the labels of {tmp_path / 'model'} are [bad, good], and those of the data ["
    )


@pytest.mark.parametrize(
    ("stage", "labels", "hint"),
    [
        ("quantize.onnx: {}", ["good", "bad"], "state the order with the step's data.labels"),
        ("prune.structured: {layers: 1}", ["bad"], "fine-tune it on these data first"),
        ("finetune: {}", ["bad"], None),
        ("quantize.onnx: {}", ["bad", "good"], None),
    ],
)
def test_a_step_that_keeps_a_head_has_data_with_the_labels_that_it_has_learned(
    stage: str,
    labels: list[str],
    hint: str | None,
    planned: Planned,
    tmp_path: Path,
    registry: Registry,
    fake_model: FakeModel,
) -> None:
    artifact = taken_in(fake_model(), tmp_path / "taken", registry)
    steps = f"  - finetune: {{}}\n    name: first\n  - {stage}\n    name: second\n"
    other = "    data: {train: test.csv, test: test.csv}\n"
    plan = planned(CLASSIFY + "reference: first\nstages:\n" + steps + other)
    products: Any = SimpleNamespace(
        prepared=lambda data, task: SimpleNamespace(
            labels=("bad", "good") if data is plan.data else tuple(labels)
        )
    )
    if hint is None:
        return refuse_wrong_labels(plan, {"model": artifact}, products)
    with pytest.raises(UsageError) as caught:
        refuse_wrong_labels(plan, {"model": artifact}, products)
    (mistake,) = caught.value.mistakes
    assert mistake.where == f"{tmp_path / 'recipe.yaml'}:8:5" and mistake.hint == hint
    assert (
        mistake.message
        == f"the labels of 'first' are [bad, good], and those of the data [{', '.join(labels)}]"
    )


def test_a_model_that_is_there_to_be_measured_alone_must_have_the_data_s_labels(
    planned: Planned, tmp_path: Path, registry: Registry, fake_model: FakeModel
) -> None:
    artifact = taken_in(fake_model(), tmp_path / "taken", registry)
    benched = replace(planned(CLASSIFY + FINETUNE), steps=[], reference="another")
    (mistake,) = refused(benched, artifact, COLOURS)
    assert mistake.hint == ""
    assert refused(benched, artifact, ["bad", "good"]) == []


@pytest.mark.parametrize(
    ("kind", "config", "words"),
    [
        ("regression", {}, "has 2 outputs, and kind: regression takes 1"),
        (
            "multi",
            {"problem_type": "single_label_classification"},
            "was trained for single_label_classification, and",
        ),
        ("single", {"id2label": {"0": "LABEL_0"}}, "has 1 output, and kind: single takes 2"),
    ],
)
def test_a_head_of_another_kind_is_refused_before_the_first_step_where_it_is_used(
    kind: str,
    config: Mapping[str, Any],
    words: str,
    planned: Planned,
    tmp_path: Path,
    registry: Registry,
    fake_model: FakeModel,
) -> None:
    own = () if "id2label" in config else ("bad", "good")
    artifact = taken_in(fake_model(labels=own, **config), tmp_path / "taken", registry)
    recipe = CLASSIFY.replace("max_length: 16", f"max_length: 16, kind: {kind}")
    labels = [] if kind == "regression" else ["bad", "good"]
    (mistake,) = refused(planned(recipe + QUANTIZE), artifact, labels)
    assert mistake.where == f"{tmp_path / 'recipe.yaml'}:2:8"
    assert mistake.message.startswith(f"the head of {tmp_path / 'model'} {words}")
    anew = planned(recipe + "reference: finetune\n" + FINETUNE)
    assert refused(anew, artifact, labels) == [] and not can_be_measured(
        anew, artifact, data_with(labels)
    )


@pytest.mark.parametrize(
    ("traits", "words"),
    [
        (
            Traits(),
            "teacher: 'distill' takes a model for text-classification, and 'acme/teacher' has no "
            "task head",
        ),
        (Traits(task="fill-mask"), "and 'acme/teacher' serves fill-mask"),
        (
            Traits("onnx", task="text-classification"),
            "takes pytorch models, and 'acme/teacher' makes onnx",
        ),
    ],
)
def test_a_teacher_from_the_hub_that_cannot_teach_is_refused_before_the_first_step(
    traits: Traits, words: str, planned: Planned, tmp_path: Path, fake_model: FakeModel
) -> None:
    fake_model()
    plan = planned(CLASSIFY + "stages:\n  - distill: {teacher: acme/teacher}\n")
    known = Traits(task="text-classification")
    refuse_wrong_edges(with_model_traits(plan, {"model": known, "acme/teacher": known}))
    with pytest.raises(UsageError) as caught:
        refuse_wrong_edges(with_model_traits(plan, {"model": known, "acme/teacher": traits}))
    (mistake,) = caught.value.mistakes
    assert mistake.where == f"{tmp_path / 'recipe.yaml'}:5:5" and words in mistake.message


def test_a_hub_model_of_a_family_without_an_architecture_is_not_cut(
    planned: Planned, tmp_path: Path, registry: Registry, fake_model: FakeModel
) -> None:
    artifact = taken_in(fake_model(), tmp_path / "taken", registry)
    (artifact.folder / "config.json").write_text('{"model_type": "albert"}', encoding="utf-8")
    recipe = CLASSIFY.replace("./model", "acme/model") + "stages:\n  - finetune\n"
    cutting = planned(recipe + "  - distill: {student: {layers: 1}}\n")
    (model,) = cutting.inputs
    with pytest.raises(UsageError, match="recipe.yaml:6:5: nothing can be cut from albert models"):
        refuse_unknown_parts(cutting, {model.name: artifact}, registry)
    refuse_unknown_parts(planned(recipe), {model.name: artifact}, registry)


def test_layers_that_a_hub_model_does_not_have_are_refused_before_the_first_step(
    planned: Planned, tmp_path: Path, registry: Registry, fake_model: FakeModel
) -> None:
    artifact = taken_in(fake_model(), tmp_path / "taken", registry)
    config = '{"model_type": "t5", "num_layers": 2, "num_decoder_layers": 2}'
    (artifact.folder / "config.json").write_text(config, encoding="utf-8")
    recipe = CLASSIFY.replace("./model", "acme/model") + "stages:\n  - finetune\n"
    cutting = planned(recipe + "  - distill: {student: {layers: {encoder: 1, decodr: 1}}}\n")
    (model,) = cutting.inputs
    with pytest.raises(UsageError) as caught:
        refuse_unfit_sizes(cutting, {model.name: artifact}, registry)
    (mistake,) = caught.value.mistakes
    assert mistake.where.endswith("recipe.yaml:6:5") and "no stack 'decodr'" in mistake.message


# positions


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"model_type": "bert", "max_position_embeddings": 20, "pad_token_id": 0}, 20),
        ({"model_type": "bert"}, None),
        ({"model_type": "roberta", "max_position_embeddings": 20}, 18),
        ({"model_type": "roberta", "max_position_embeddings": 20, "pad_token_id": 0}, 19),
        ({"n_positions": 9}, 9),
        ({"model_type": "t5", "n_positions": 512, "relative_attention_num_buckets": 32}, None),
        ({"model_type": "deberta-v2", "max_position_embeddings": -1}, None),
    ],
)
def test_a_config_tells_how_long_an_example_may_be(
    config: Mapping[str, Any], wanted: int | None
) -> None:
    assert positions(config) == wanted


def too_long(plan: Plan, artifact: Artifact) -> list[str]:
    with pytest.raises(UsageError) as caught:
        refuse_unfit_options(plan, dict.fromkeys([i.name for i in plan.inputs], artifact))
    return [str(mistake) for mistake in caught.value.mistakes]


def test_examples_longer_than_a_model_s_positions_are_refused_once(
    planned: Planned, tmp_path: Path, registry: Registry, fake_model: FakeModel
) -> None:
    artifact = taken_in(
        fake_model(model_type="roberta", max_position_embeddings=17), tmp_path / "taken", registry
    )
    plan = planned(CLASSIFY + "stages: [finetune, quantize.onnx]\n")
    (text,) = too_long(plan, artifact)
    assert text == (
        f"{tmp_path / 'recipe.yaml'}:4:10: 'finetune' keeps 16 tokens of an example, and the model "
        "has 15 positions: set max_length: 15"
    )
    (text,) = too_long(replace(plan, steps=[]), artifact)
    assert text.startswith(f"{tmp_path / 'recipe.yaml'}:2:8: the task keeps 16 tokens")
    fits = planned(
        CLASSIFY.replace("max_length: 16", "max_length: 15") + "stages: [finetune, quantize.onnx]\n"
    )
    refuse_unfit_options(fits, {"model": artifact})
    refuse_unfit_options(replace(fits, steps=[]), {"model": artifact})


def test_the_positions_that_a_family_has_by_default_count_when_a_fresh_model_is_built() -> None:
    task = task_named("fill-mask", max_length=600)
    with pytest.raises(
        UsageError,
        match="keeps 600 tokens .* 512 positions: set max_length: 512 .this configuration",
    ):
        fresh_model({"type": "bert", "hidden_size": 8, "num_attention_heads": 1}, task, ())


def test_a_fresh_model_of_few_positions_is_refused_by_the_same_rule(planned: Planned) -> None:
    recipe = (
        CLASSIFY.replace("./model", "{type: roberta, max_position_embeddings: 17}")
        + """\
stages:
  - pretrain: {}
    task: {fill-mask: {max_length: 16}}
  - finetune
"""
    )
    with pytest.raises(
        UsageError, match="'pretrain' keeps 16 tokens of an example, and the model has 15 positions"
    ):
        refuse_unfit_options(planned(recipe), {})
