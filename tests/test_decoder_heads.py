"""Classifiers on decoders, whose heads find the last token of a text by the id that pads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import LABELS, WORDS, make_artifact, read, sentences, task_named, word_processor
from transformers import AutoConfig, AutoModel

from compress.adapting import adapt_model
from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.engine import Placement
from compress.errors import UsageError
from compress.models import open_model
from compress.processor import TextProcessor
from compress.sessions import TorchSession

TASK = task_named("text-classification")
EOS = WORDS.index("[SEP]")


def save_decoder(
    folder: Path, family: str = "llama", tokens: dict[str, str] | None = None, **config: Any
) -> Artifact:
    """A decoder without a head, with random weights; its tokenizer names ``tokens`` alone, by
    default no padding."""
    torch.manual_seed(1)
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "num_key_value_heads": 2,
        "pad_token_id": None,
    }
    built = AutoConfig.for_model(
        family, vocab_size=len(WORDS), max_position_embeddings=32, **{**sizes, **config}
    )
    AutoModel.from_config(built).save_pretrained(folder)
    words = word_processor()
    words.config = {
        "tokenizer_class": "TokenizersBackend",
        **({"eos_token": "[SEP]"} if tokens is None else tokens),
    }
    words.save(folder)
    Manifest(Traits(), digest_files(folder), "model", "import").write(folder)
    return Artifact.open(folder)


def logits(artifact: Artifact, batch_size: int) -> np.ndarray:
    """Logits [rows, labels] of sentences of different lengths."""
    session, processor = (
        TorchSession(open_model(artifact, TASK), "cpu"),
        TASK.processor(artifact.folder),
    )
    features = TASK.features(read(sentences(8, 3), TASK), processor)
    batches = [features[i : i + batch_size] for i in range(0, len(features), batch_size)]
    return np.concatenate(
        [session.run(TASK.collate(batch, processor))["logits"] for batch in batches]
    )


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3", "gpt2"])
def test_a_decoder_without_a_padding_token_is_fine_tuned_and_answers_in_batches_as_alone(
    family: str, tmp_path: Path
) -> None:
    base = save_decoder(tmp_path / "base", family)
    made = make_artifact(
        tmp_path / "made",
        "finetune",
        TASK,
        {"train": sentences(16, 0), "test": sentences(4, 1)},
        input=base,
        epochs=1,
        batch_size=4,
        precision="fp32",
    )
    config = json.loads((made.folder / "config.json").read_text(encoding="utf-8"))
    assert config["pad_token_id"] == EOS == TextProcessor.load(made.folder).pad_id
    np.testing.assert_allclose(logits(made, 8), logits(made, 1), atol=1e-5)  # 2e-7 measured
    np.testing.assert_allclose(logits(made, 8), logits(made, 8), atol=0)


@pytest.mark.slow
def test_its_onnx_file_answers_as_it_does(tmp_path: Path) -> None:
    from compress_onnx import FLOAT_FILE
    from compress_onnx.session import OnnxSession

    splits = {"train": sentences(16, 0), "test": sentences(4, 1)}
    made = make_artifact(
        tmp_path / "made",
        "finetune",
        TASK,
        splits,
        input=save_decoder(tmp_path / "base"),
        epochs=1,
        batch_size=4,
        precision="fp32",
    )
    onnx = make_artifact(tmp_path / "onnx", "export.onnx", TASK, splits, input=made)
    processor = TASK.processor(onnx.folder)
    features = TASK.features(read(sentences(8, 3), TASK), processor)
    answers = OnnxSession(onnx.folder / FLOAT_FILE, Placement("cpu", 1)).run(
        TASK.collate(features, processor)
    )["logits"]
    np.testing.assert_allclose(answers, logits(made, 1), atol=1e-4)  # 1e-6 measured


def test_a_classifier_from_outside_whose_config_names_no_padding_answers_in_batches_as_alone(
    tmp_path: Path,
) -> None:
    base = save_decoder(tmp_path / "base")
    folder = tmp_path / "classifier"
    model = adapt_model(base, TASK, LABELS).model
    model.config.pad_token_id = None
    model.save_pretrained(folder)
    TextProcessor.load(base.folder).save(folder)
    Manifest(Traits(task=TASK.name), digest_files(folder), "model", "import", labels=LABELS).write(
        folder
    )
    classifier = Artifact.open(folder)
    np.testing.assert_allclose(logits(classifier, 8), logits(classifier, 1), atol=1e-5)


@pytest.mark.parametrize(
    ("tokens", "config", "pad"),
    [
        ({"pad_token": "[PAD]", "eos_token": "[SEP]"}, {"pad_token_id": 4}, 0),
        ({"eos_token": "[SEP]"}, {"pad_token_id": 4}, 4),
        ({"eos_token": "[SEP]"}, {}, EOS),
        ({"eos_token": "[SEP]"}, {"pad_token_id": -1}, EOS),
    ],
)
def test_texts_are_padded_by_the_tokenizer_s_token_then_the_model_s_then_the_end_of_a_text(
    tokens: dict[str, str], config: dict[str, int], pad: int, tmp_path: Path
) -> None:
    artifact = save_decoder(tmp_path / "base", tokens=tokens)
    file = artifact.folder / "config.json"
    file.write_text(
        json.dumps({**json.loads(file.read_text(encoding="utf-8")), **config}), encoding="utf-8"
    )
    assert TASK.processor(artifact.folder).pad_id == pad
    if config.get("pad_token_id") != -1:  # as a transformers config it means the last token
        assert adapt_model(artifact, TASK, LABELS).model.config.pad_token_id == pad


def test_a_tokenizer_that_names_nothing_to_pad_with_is_refused_in_one_line(tmp_path: Path) -> None:
    artifact = save_decoder(tmp_path / "base", tokens={})
    with pytest.raises(
        UsageError, match=r"names neither that nor an end-of-text token: set pad_token in [^\n]*$"
    ):
        adapt_model(artifact, TASK, LABELS)
