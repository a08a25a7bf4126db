"""What ``pretrain`` and ``finetune`` leave in an artifact."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from compress_training.tokenizer import train_tokenizer
from safetensors.torch import load_file
from tiny import LABELS, SHAPE, make_artifact, save_bert, sentences, task_named, word_processor
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainingArguments,
)

from compress.adapting import adapt_model
from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.models import fresh_model
from compress.processor import TextProcessor
from compress.specialtokens import BERT
from compress.training.trainer import OrderedTrainer

OPTIONS = {"epochs": 2, "batch_size": 4, "precision": "fp32"}
STILL = {**OPTIONS, "epochs": 1, "learning_rate": 1e-9, "weight_decay": 0.0}
"""A training that moves no weight by more than 1e-7."""
SPLITS = {"train": sentences(16, 0), "test": sentences(6, 1)}
TEXTS = {split: [{"text": row["text"]} for row in rows] for split, rows in SPLITS.items()}
FRESH = {"type": "bert", **SHAPE}
TORCH_FILES = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


def weights(artifact: Artifact) -> dict[str, torch.Tensor]:
    return load_file(artifact.folder / "model.safetensors")


def moved(name: str, one: Artifact, other: Artifact) -> float:
    """The greatest change of a tensor."""
    return float((weights(one)[name] - weights(other)[name]).abs().max())


def files(artifact: Artifact) -> list[str]:
    return sorted(artifact.manifest.files)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return make_artifact(
        tmp_path_factory.mktemp("pretrained") / "one",
        "pretrain",
        task_named("fill-mask"),
        TEXTS,
        fresh=FRESH,
        vocabulary=300,
        **OPTIONS,
    )


def test_the_tokenizer_is_the_same_in_every_training(tmp_path: Path) -> None:
    text = Path(__file__).read_text(encoding="utf-8").splitlines()
    train_tokenizer(text, 400, True, 16, "bert").save(tmp_path)
    script = (
        "import sys; from pathlib import Path; from compress_training.tokenizer import "
        "train_tokenizer\n"
        "text = Path(sys.argv[1]).read_text(encoding='utf-8').splitlines()\n"
        "sys.stdout.write(train_tokenizer(text, 400, True, 16, "
        "'bert').tokenizer.to_str())"
    )
    for seed in ("1", "2"):
        again = subprocess.run(
            [sys.executable, "-c", script, __file__],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        assert again == (tmp_path / "tokenizer.json").read_text(encoding="utf-8")


def test_the_tokenizer_keeps_to_its_vocabulary_and_reads_any_text() -> None:
    processor = train_tokenizer(["aaa bbb aaa bbb ccc"] * 9, 300, False, 16, "bert")
    assert processor.tokenizer.get_vocab_size() <= 300
    assert [processor.token_id(kind) for kind in BERT.named] == [0, 1, 2, 3, 4]
    (encoding,) = processor.encode(["żółw 🐢"], max_length=64)
    assert processor.token_id("unk") not in encoding.ids
    assert processor.tokenizer.decode(encoding.ids).strip() == "żółw 🐢"


def test_transformers_reads_the_tokenizer_to_the_same_ids(pretrained: Artifact) -> None:
    theirs = AutoTokenizer.from_pretrained(pretrained.folder)
    ours = TextProcessor.load(pretrained.folder)
    for text in ("good w1 w2", " Bad", "a [MASK] b", "żółw"):
        assert theirs(text)["input_ids"] == ours.encode([text], max_length=64)[0].ids
    assert (
        theirs("good", "bad")["token_type_ids"]
        == ours.encode([("good", "bad")], max_length=64)[0].type_ids
    )
    assert (theirs.mask_token, theirs.model_max_length) == ("[MASK]", 16)


def test_a_fresh_configuration_becomes_a_stock_masked_language_model(pretrained: Artifact) -> None:
    assert files(pretrained) == TORCH_FILES
    model, info = AutoModelForMaskedLM.from_pretrained(pretrained.folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    vocabulary = TextProcessor.load(pretrained.folder).tokenizer.get_vocab_size()
    assert model.config.vocab_size == vocabulary == pretrained.manifest.notes["vocabulary"]
    assert (
        model.config.hidden_size,
        model.config.num_hidden_layers,
        model.config.pad_token_id,
    ) == (16, 1, 0)
    assert pretrained.manifest.parameters == sum(p.numel() for p in model.parameters())
    assert (pretrained.traits.task, pretrained.traits.shape, pretrained.traits.trainable) == (
        "fill-mask",
        "stock",
        True,
    )


def test_pretraining_is_the_same_for_the_same_seed(pretrained: Artifact, tmp_path: Path) -> None:
    same, other = (
        make_artifact(
            tmp_path / str(seed),
            "pretrain",
            task_named("fill-mask"),
            TEXTS,
            fresh=FRESH,
            seed=seed,
            vocabulary=300,
            **OPTIONS,
        )
        for seed in (5, 6)
    )
    assert dict(same.manifest.files) == dict(pretrained.manifest.files)
    assert same.digest == pretrained.digest
    assert weights(other).keys() == weights(same).keys()
    assert other.manifest.files["model.safetensors"] != same.manifest.files["model.safetensors"]
    assert other.manifest.files["tokenizer.json"] == same.manifest.files["tokenizer.json"]


def test_pretraining_learns_what_is_masked(tmp_path: Path) -> None:
    rows = {
        "train": [{"text": "good bad good bad"}] * 40,
        "test": [{"text": "good bad good bad"}] * 8,
        "validation": [{"text": "good bad good bad"}] * 8,
    }
    made = make_artifact(
        tmp_path / "one",
        "pretrain",
        task_named("fill-mask"),
        rows,
        fresh=FRESH,
        vocabulary=300,
        precision="fp32",
        batch_size=8,
        epochs=12,
        learning_rate=3e-2,
    )
    assert made.manifest.notes["best_validation"] == 1.0


def test_pretraining_goes_on_from_a_given_model_and_its_tokenizer(tmp_path: Path) -> None:
    task = task_named("fill-mask")
    given = save_bert(tmp_path / "given", task, ())
    made = make_artifact(tmp_path / "made", "pretrain", task, TEXTS, input=given, **STILL)
    assert made.manifest.files["tokenizer.json"] == given.manifest.files["tokenizer.json"]
    changes = [moved(name, made, given) for name in weights(given)]
    assert 0 < max(changes) < 1e-6
    assert made.manifest.lineage == ({"step": "model", "stage": "import", "digest": given.digest},)


def test_a_batch_in_which_nothing_can_be_masked_teaches_nothing(tmp_path: Path) -> None:
    task = task_named("fill-mask")
    given = save_bert(tmp_path / "given", task, ())
    texts = {
        split: [{"text": "unheard"}, {"text": "good w1 w2"}, {"text": "words"}]
        for split in ("train", "test")
    }
    for stage, options in (
        ("pretrain", {}),
        (
            "distill",
            {"student": {"layers": 1}, "losses": ["logits", "hidden", {"labels": {"weight": 0.5}}]},
        ),
    ):
        deep = save_bert(tmp_path / f"deep-{stage}", task, (), num_hidden_layers=2)
        made = make_artifact(
            tmp_path / stage,
            stage,
            task,
            texts,
            input=given if stage == "pretrain" else deep,
            epochs=1,
            batch_size=1,
            precision="fp32",
            **options,
        )
        assert made.manifest.notes["steps"] == 3


def test_a_head_of_two_layers_is_replaced_whole(tmp_path: Path) -> None:
    """RoBERTa's: other labels change the shape of the last layer alone."""
    task = task_named("text-classification")
    shape = {
        "type": "roberta",
        "vocab_size": 21,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 20,
        "pad_token_id": 0,
    }
    fresh_model(shape, task, ("bad", "good", "neither")).save_pretrained(tmp_path / "given")
    word_processor().save(tmp_path / "given")
    Manifest(
        Traits(task=task.name),
        digest_files(tmp_path / "given"),
        "model",
        "import",
        labels=("bad", "good", "neither"),
    ).write(tmp_path / "given")
    given = Artifact.open(tmp_path / "given")
    old, new = weights(given), adapt_model(given, task, LABELS).model.state_dict()
    assert (
        float((old["classifier.dense.weight"] - new["classifier.dense.weight"]).abs().max()) > 1e-3
    )
    assert torch.equal(
        old["roberta.embeddings.word_embeddings.weight"],
        new["roberta.embeddings.word_embeddings.weight"],
    )


@pytest.mark.parametrize("labels", [("bad", "good", "neither"), ("good", "bad")])
def test_a_head_of_other_labels_is_replaced(labels: tuple[str, ...], tmp_path: Path) -> None:
    task = task_named("text-classification")
    given = save_bert(tmp_path / "given", task, labels)
    made = make_artifact(tmp_path / "made", "finetune", task, SPLITS, input=given, **STILL)
    model = AutoModelForSequenceClassification.from_pretrained(made.folder)
    assert (model.config.id2label, made.manifest.labels) == ({0: "bad", 1: "good"}, LABELS)
    old, new = (weights(artifact)["classifier.weight"] for artifact in (given, made))
    assert new.shape == (2, 16)
    assert len(old) != len(new) or float((old - new).abs().max()) > 0.05, (
        "the other head's weights are of no use"
    )
    assert moved("bert.encoder.layer.0.attention.self.query.weight", made, given) < 1e-6


def test_a_head_that_fits_is_kept(tmp_path: Path) -> None:
    task = task_named("text-classification")
    given = save_bert(tmp_path / "given", task)
    made = make_artifact(tmp_path / "made", "finetune", task, SPLITS, input=given, **STILL)
    changes = [moved(name, made, given) for name in weights(given)]
    assert 0 < max(changes) < 1e-6


def test_a_masked_language_model_gets_a_head_for_the_task(
    pretrained: Artifact, tmp_path: Path
) -> None:
    task = task_named("text-classification")
    made = make_artifact(tmp_path / "made", "finetune", task, SPLITS, input=pretrained, **OPTIONS)
    assert files(made) == TORCH_FILES, "no checkpoint and no pickle is left in an artifact"
    model, info = AutoModelForSequenceClassification.from_pretrained(
        made.folder, output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert model.config.problem_type == "single_label_classification"
    assert [entry["stage"] for entry in made.manifest.lineage] == ["pretrain"]
    assert made.manifest.notes["steps"] == 8


def test_finetuning_learns_the_task_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    task = task_named("text-classification")
    given = save_bert(tmp_path / "given", task, hidden_dropout_prob=0.0)
    splits = {"train": sentences(64, 2), "validation": sentences(32, 3), "test": sentences(8, 4)}
    made = make_artifact(
        tmp_path / "made",
        "finetune",
        task,
        splits,
        input=given,
        precision="fp32",
        batch_size=8,
        epochs=8,
        learning_rate=1e-2,
    )
    assert made.manifest.notes["best_validation"] == 1.0
    assert made.manifest.notes["precision"] == "fp32"


def test_one_of_several_gpus_trains_so_that_model_and_batch_are_what_the_recipe_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, loss, seen = TrainingArguments.__post_init__, OrderedTrainer.compute_loss, []

    def with_two_gpus(self: Any) -> None:
        ready(self)
        self._n_gpu = 2

    def watched(self: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append((type(model).__name__, self.args.train_batch_size))
        return loss(self, model, *args, **kwargs)

    monkeypatch.setattr(TrainingArguments, "__post_init__", with_two_gpus)
    monkeypatch.setattr(OrderedTrainer, "compute_loss", watched)
    task, folder = task_named("text-classification"), tmp_path / "given"
    make_artifact(
        tmp_path / "made", "finetune", task, SPLITS, input=save_bert(folder, task), **STILL
    )
    assert set(seen) == {("BertForSequenceClassification", OPTIONS["batch_size"])}
