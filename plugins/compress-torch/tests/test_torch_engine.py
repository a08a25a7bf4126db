"""The torch engine and the session it opens."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from compress_torch import TorchEngine
from transformers import BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForCausalLM

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.engine import Placement
from compress.errors import EnvironmentFailure
from compress.sessions import TorchSession

TASK = SimpleNamespace(
    name="text-classification", model_class=lambda config: "AutoModelForSequenceClassification"
)
BATCH = {
    "input_ids": np.array([[2, 7, 9, 3], [2, 5, 3, 0]]),
    "attention_mask": np.array([[1, 1, 1, 1], [1, 1, 1, 0]]),
    "labels": np.array([0, 1]),
}


def bert() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=30,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=16,
            num_labels=3,
            initializer_range=0.5,
        )
    ).eval()


def saved(model: BertForSequenceClassification, folder: Path) -> Artifact:
    model.save_pretrained(folder)
    manifest = Manifest(
        Traits(task="text-classification"), digest_files(folder), "teacher", "finetune"
    )
    return Artifact(folder, manifest)


def reference(model: BertForSequenceClassification) -> np.ndarray:
    with torch.no_grad():
        inputs = {k: torch.tensor(v) for k, v in BATCH.items() if k != "labels"}
        return model(**inputs).logits.numpy()


def test_an_opened_artifact_gives_the_logits_of_the_model_that_was_saved(tmp_path: Path) -> None:
    model = bert()
    session = TorchEngine().open(saved(model, tmp_path), Placement("cpu", 1), TASK)
    outputs = session.run(BATCH)
    assert outputs["logits"].dtype == np.float32
    np.testing.assert_array_equal(outputs["logits"], reference(model))
    assert torch.get_num_threads() == 1


def test_labels_and_unknown_entries_do_not_reach_the_model() -> None:
    session = TorchSession(bert(), "cpu")
    outputs = session.run({**BATCH, "words": np.array([[1], [2]])})
    assert "loss" not in outputs
    assert (
        "labels" not in session.inputs
        and "kwargs" not in session.inputs
        and "input_ids" in session.inputs
    )


def test_a_model_in_training_mode_is_evaluated_without_dropout_and_stays_in_that_mode() -> None:
    model = bert()
    expected = reference(model)
    outputs = TorchSession(model.train(), "cpu").run(BATCH)
    np.testing.assert_array_equal(outputs["logits"], expected)
    assert model.training and model.bert.encoder.layer[0].training


def test_outputs_of_a_bfloat16_model_are_float32() -> None:
    outputs = TorchSession(bert().to(torch.bfloat16), "cpu").run(BATCH)
    assert outputs["logits"].dtype == np.float32
    assert np.abs(outputs["logits"] - reference(bert())).max() < 0.2  # 0.054 measured


def test_a_decoder_returns_its_logits_and_no_cache() -> None:
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=30,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=16,
        )
    )
    assert list(TorchSession(model, "cpu").run(BATCH)) == ["logits"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_an_error_that_says_what_is(tmp_path: Path) -> None:
    assert TorchEngine().devices() == ("cpu",)
    artifact = saved(bert(), tmp_path)
    with pytest.raises(EnvironmentFailure, match="no cuda device here; it has: cpu"):
        TorchEngine().open(artifact, replace(Placement("cpu", 1), device="cuda"), TASK)


def test_loading_the_plugin_does_not_import_torch() -> None:
    code = (
        "import sys, compress_torch; "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
