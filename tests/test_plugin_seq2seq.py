"""A model with an encoder and a decoder from beginning to end: trained on pairs of texts, measured
by the texts that it generates, and opened again in PyTorch and in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from generators import CONFIGS
from installing import install
from tiny import make_artifact, sentences, word_processor
from tokenizers import processors
from transformers import AutoConfig, AutoModelForSeq2SeqLM

import compress
from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.engine import Placement
from compress.predict import predict
from compress.registry.plugins import engine_for, load_plugins
from compress.session import Session
from compress.task import Task

TEXTS = ["good w1 w2 w3", "bad", "w6 w7 bad w1 w4 w5"]


def pairs(count: int, seed: int) -> list[dict[str, str]]:
    """Texts that are answered by two words, which depend on one of theirs."""
    answers = {"good": "good w1", "bad": "bad w2"}
    return [
        {"source": row["text"], "target": answers[row["label"]]} for row in sentences(count, seed)
    ]


ROWS = {"train": pairs(64, 1), "validation": pairs(8, 3), "test": pairs(8, 2)}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The environment of a command that finds the plugin; this process finds it too."""
    folder = tmp_path_factory.mktemp("seq2seq") / "site"
    environ = install(folder, "compress-seq2seq")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield environ


@pytest.fixture(scope="module")
def task(site: Mapping[str, str]) -> Task[Any]:
    """The plugin's task."""
    cls = load_plugins().tasks["seq2seq"].cls
    made: Task[Any] = cls(cls.Options(max_length=16, target_length=4))
    return made


def save_model(folder: Path, family: str, task: Task[Any]) -> Artifact:
    """A tiny model with random weights."""
    torch.manual_seed(0)
    tokens = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 2}
    config = AutoConfig.for_model(family, **{**CONFIGS[family], **tokens, "vocab_size": 21})
    AutoModelForSeq2SeqLM.from_config(config).save_pretrained(folder)
    words = word_processor()
    words.tokenizer.post_processor = processors.TemplateProcessing(
        "$A [SEP]", "$A [SEP] $B [SEP]", [("[SEP]", 3)]
    )
    words.config["eos_token"] = "[SEP]"
    words.save(folder)
    Manifest(Traits(task=task.name), digest_files(folder), "model", "import").write(folder)
    return Artifact.open(folder)


@pytest.fixture(scope="module")
def model(task: Task[Any], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A tiny T5 with random weights."""
    return save_model(tmp_path_factory.mktemp("t5"), "t5", task)


@pytest.fixture(scope="module")
def trained(task: Task[Any], model: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The model, after some steps on pairs of texts."""
    options = {"epochs": 4, "batch_size": 8, "learning_rate": 1e-2, "precision": "fp32"}
    place = tmp_path_factory.mktemp("trained") / "step"
    return make_artifact(place, "finetune", task, ROWS, input=model, **options)


def opened(artifact: Artifact, task: Task[Any]) -> Session:
    engine = engine_for(load_plugins(), artifact.traits.format)
    return engine.open(artifact, Placement("cpu", 1), task)


def quality(artifact: Artifact, task: Task[Any]) -> Mapping[str, float]:
    processor, rows = task.processor(artifact.folder), ROWS["test"]
    features = task.features(rows, processor)
    answers = predict(opened(artifact, task), task, processor, rows, features, 4)
    return task.score(answers, rows, [], processor).metrics


def test_training_brings_answers_nearer_to_the_targets(
    task: Task[Any], model: Artifact, trained: Artifact
) -> None:
    before, after = quality(model, task), quality(trained, task)
    assert after["chrf"] > before["chrf"] + 0.2
    assert after["exact_match"] >= before["exact_match"]


def test_a_target_is_learnt_from_the_tokens_before(task: Task[Any], model: Artifact) -> None:
    processor = task.processor(model.folder)
    batch = task.collate(task.features(ROWS["train"][:2], processor), processor)
    assert batch["decoder_input_ids"][:, 0].tolist() == [2, 2]
    np.testing.assert_array_equal(batch["decoder_input_ids"][:, 1:], batch["labels"][:, :-1])
    assert (batch["labels"][:, -1] == 3).all()
    asked = task.collate(task.features(task.request(TEXTS), processor), processor)
    assert set(asked) == {"input_ids", "attention_mask"}


def test_texts_are_answered(trained: Artifact) -> None:
    predictor, pieces = compress.load(trained.folder), []
    answers = predictor(TEXTS, max_new_tokens=5)
    assert [answer["text"] for answer in answers] == TEXTS
    assert predictor(TEXTS, 3, max_new_tokens=5) == answers
    assert predictor(TEXTS[0], on_text=pieces.append, max_new_tokens=5) == answers[:1]
    assert "".join(pieces) == answers[0]["answer"]


def test_chrf_is_the_mean_over_lengths_of_n_grams(task: Task[Any]) -> None:
    def score(answer: str, target: str) -> float:
        row = {"source": "", "target": target}
        return task.score([{"answer": answer}], [row], [], None).metrics["chrf"]

    assert score("a b c", "abc") == 1  # spaces do not count
    assert score("xyz", "abc") == 0
    # Of 1-grams a and b are shared, of 2-grams ab, and no 3-gram: F2 is 2/3, 1/2 and 0.
    assert score("abx", "abc") == pytest.approx((2 / 3 + 1 / 2) / 3)
    # With recall 1/2 and precision 1, F2 is 5 * 1 / (1 + 4 * 2); the 2-gram is missed.
    assert score("a", "ab") == pytest.approx(5 / 9 / 2)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["t5", "bart"])
def test_onnx_runtime_answers_with_the_same_tokens(
    task: Task[Any], family: str, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    model = save_model(tmp_path / "model", family, task)
    made = make_artifact(tmp_path / "float", "export.onnx", task, ROWS, input=model)
    small = make_artifact(tmp_path / "int8", "quantize.onnx", task, ROWS, input=made)
    files = [name for name in made.manifest.files if name.endswith(".onnx")]
    assert files == ["onnx/decoder_model_merged.onnx", "onnx/encoder_model.onnx"]
    want, got, quantized = (compress.load(each.folder) for each in (model, made, small))
    for asked in ({}, {"beams": 3}, {"temperature": 0.7, "seed": 2}):
        answers = want(TEXTS, max_new_tokens=8, **asked)
        assert got(TEXTS, max_new_tokens=8, **asked) == answers
        assert got(TEXTS, 3, max_new_tokens=8, **asked) == answers
    assert len(quantized(TEXTS, max_new_tokens=8)) == 3
    engine = engine_for(load_plugins(), "onnx")
    assert [file.stem for file in engine.model_files(small)] == [
        "decoder_model_merged_quantized",
        "encoder_model_quantized",
    ]
