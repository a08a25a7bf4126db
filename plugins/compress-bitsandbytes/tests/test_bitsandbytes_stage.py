"""LLM.int8 on a tiny BERT, on whatever device there is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from compress_bitsandbytes import QuantizeBitsAndBytes
from safetensors import safe_open
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
)

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.errors import ModelRefused, UsageError
from compress.models import open_model
from compress.processor import TextProcessor
from compress.sessions import TorchSession

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TASK = SimpleNamespace(
    name="text-classification",
    model_class=lambda config: "AutoModelForSequenceClassification",
    processor=TextProcessor.load,
)
BATCH = {
    "input_ids": np.arange(3, 27).reshape(2, 12),
    "attention_mask": np.ones((2, 12), dtype=np.int64),
}
LINEAR_LAYERS = 2 * 6 + 1
"""Six in each block and the pooler; the classifier is the head."""


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("teacher")
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=30,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=48,
            max_position_embeddings=16,
            num_labels=3,
            initializer_range=0.3,
        )
    )
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return manifested(folder, Traits(task="text-classification"))


def save_tokenizer(folder: Path) -> None:
    """Write a tokenizer of one token."""
    TextProcessor(
        Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]")), {"unk_token": "[UNK]"}
    ).save(folder)


def manifested(folder: Path, traits: Traits) -> Artifact:
    return Artifact(folder, Manifest(traits, digest_files(folder), "step", "stage", parameters=123))


def apply(source: Artifact, output: Path, **options: Any) -> tuple[Artifact, Any]:
    """The artifact that the stage makes, and what it says of it."""
    chosen = QuantizeBitsAndBytes.Options(**options)
    output.mkdir(parents=True, exist_ok=True)
    made = QuantizeBitsAndBytes().apply(
        SimpleNamespace(options=chosen, input=source, task=TASK, output=output)
    )
    return manifested(
        output, QuantizeBitsAndBytes.produces(source.traits, chosen, "text-classification")
    ), made


@pytest.fixture(scope="module")
def quantized(teacher: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return apply(teacher, tmp_path_factory.mktemp("quantized"))[0]


def logits(model: Any) -> np.ndarray:
    return TorchSession(model, DEVICE).run(BATCH)["logits"]


def test_a_quantized_model_answers_nearly_as_the_float_one(
    teacher: Artifact, quantized: Artifact
) -> None:
    reference = logits(open_model(teacher, TASK, DEVICE))
    difference = np.abs(logits(open_model(quantized, TASK, DEVICE)) - reference).max()
    assert 0 < difference < 0.1 * np.abs(reference).max()  # 0.041 measured


def test_plain_from_pretrained_opens_a_quantized_folder_to_equal_logits(
    quantized: Artifact,
) -> None:
    plain = AutoModelForSequenceClassification.from_pretrained(quantized.folder, device_map=DEVICE)
    np.testing.assert_array_equal(logits(plain), logits(open_model(quantized, TASK, DEVICE)))


def test_weights_of_linear_layers_are_int8_and_the_head_and_embeddings_float(
    quantized: Artifact,
) -> None:
    with safe_open(quantized.folder / "model.safetensors", "pt") as file:
        types = {n: file.get_tensor(n).dtype for n in file.keys()}  # noqa: SIM118
    assert sum(t == torch.int8 for t in types.values()) == LINEAR_LAYERS
    assert (
        types["classifier.weight"]
        == types["bert.embeddings.word_embeddings.weight"]
        == torch.float32
    )
    assert quantized.traits == Traits("pytorch", "int8", "stock", False, "text-classification")


def test_two_runs_write_equal_files(teacher: Artifact, quantized: Artifact, tmp_path: Path) -> None:
    again, made = apply(teacher, tmp_path)
    assert again.manifest.files == quantized.manifest.files
    assert made.parameters == 123 and made.notes == {
        "int8_layers": LINEAR_LAYERS,
        "float_layers": ["classifier"],
    }


def test_skipped_layers_stay_float_and_so_they_do_when_reloaded(
    teacher: Artifact, tmp_path: Path
) -> None:
    made, _ = apply(teacher, tmp_path, skip_modules=["bert.encoder.layer.0", "pooler.dense"])
    model = open_model(made, TASK, DEVICE)
    assert type(model.bert.encoder.layer[0].output.dense) is torch.nn.Linear
    assert type(model.bert.encoder.layer[1].output.dense) is not torch.nn.Linear
    assert type(model.bert.pooler.dense) is torch.nn.Linear


def test_the_threshold_reaches_the_layers_that_are_reloaded(
    teacher: Artifact, tmp_path: Path
) -> None:
    made, _ = apply(teacher, tmp_path, threshold=0.5)
    assert open_model(made, TASK, DEVICE).bert.encoder.layer[1].output.dense.state.threshold == 0.5


def test_skipping_what_is_not_there_is_an_error_that_names_it(
    teacher: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(
        UsageError,
        match="skip_modules: 'encoder.layers' names no linear layer; .* bert.encoder.layer.0",
    ):
        apply(teacher, tmp_path, skip_modules=["pooler.dense", "encoder.layers"])


def test_a_result_in_which_nothing_is_quantized_is_an_error(
    teacher: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(ModelRefused, match="quantized nothing: .* a bert model has no layer"):
        apply(teacher, tmp_path, skip_modules=["bert"])
    assert not list(tmp_path.iterdir())


def test_a_family_whose_weights_have_other_names_in_its_file_opens_to_equal_logits(
    tmp_path: Path,
) -> None:
    config = AutoConfig.for_model(
        "nomic_bert",
        vocab_size=30,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=48,
    )
    model = AutoModelForSequenceClassification.from_config(config).eval()
    model.save_pretrained(tmp_path / "model")
    save_tokenizer(tmp_path / "model")
    made, _ = apply(
        manifested(tmp_path / "model", Traits(task="text-classification")), tmp_path / "made"
    )
    answers = logits(open_model(made, TASK, DEVICE))
    reference = TorchSession(model, "cpu").run(BATCH)["logits"]
    assert 0 < np.abs(answers - reference).max() < 0.2 * np.abs(reference).max()


def test_a_family_that_cannot_be_read_in_int8_is_refused_by_name_in_one_line(
    teacher: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def read(*given: Any, **options: Any) -> Any:
        raise RuntimeError("no such layer\nand more")

    monkeypatch.setattr(
        "compress_bitsandbytes.int8.model_class", lambda *_: SimpleNamespace(from_pretrained=read)
    )
    with pytest.raises(ModelRefused, match="the weights of a bert model cannot") as met:
        apply(teacher, tmp_path)
    assert "\n" not in str(met.value)
    assert "Traceback" in capsys.readouterr().err, "which goes to the worker's log"
