"""Each kind of student from beginning to end: distilled from a BERT, saved, exported, made int8,
and answered by ONNX Runtime alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
import pytest
import torch
from commands import command_in
from tiny import TAGS, make_artifact, save_bert, sentences, tagged, task_named

from compress.artifact import Artifact
from compress.engine import Placement
from compress.errors import UsageError
from compress.registry.models import register_models
from compress.registry.plugins import Registry, engine_for, load_plugins

CLASSIFY, TAG = task_named("text-classification"), task_named("token-classification")
ROWS = {"train": sentences(24, 1), "test": sentences(6, 2)}
TAGGED = {"train": tagged(12, 1), "test": tagged(4, 2)}
TRAINING = {"epochs": 1, "batch_size": 8, "precision": "fp32", "learning_rate": 1e-2}
SMALL = {"hidden_size": 16, "embedding_size": 8, "num_hidden_layers": 2}
STUDENTS = {
    "bilstm": {"type": "bilstm", **SMALL},
    "bigru": {"type": "bigru", **SMALL},
    "static": {"type": "static", "embedding_size": 8, "intermediate_size": 4},
}
TEXTS = ["good w1 w2 w3 w4 w5", "bad", "w6 w7 good"]


class Chain:
    """A student of a kind, and what is made of it, each when it is first needed."""

    def __init__(self, kind: str, teacher: Artifact, place: Path) -> None:
        self.kind, self._teacher, self._place = kind, teacher, place
        self._made: dict[str, Artifact] = {}

    def __getitem__(self, form: str) -> Artifact:
        if form not in self._made:
            self._made[form] = self._make(form)
        return self._made[form]

    def _make(self, form: str) -> Artifact:
        folder = self._place / form
        if form == "student":
            losses = ["logits"] if self.kind == "static" else ["logits", "hidden"]
            options = {"student": STUDENTS[self.kind], "losses": losses, **TRAINING}
            return make_artifact(folder, "distill", CLASSIFY, ROWS, input=self._teacher, **options)
        stage = {"float": "export.onnx", "int8": "quantize.onnx"}[form]
        return make_artifact(folder, stage, CLASSIFY, ROWS, input=self["student"])


@pytest.fixture(scope="module")
def plugins() -> Registry:
    """What all plugins register; this process knows the models."""
    registry = load_plugins()
    register_models(registry, list(STUDENTS))
    return registry


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A tiny BERT with random weights."""
    return save_bert(tmp_path_factory.mktemp("teacher"), CLASSIFY)


@pytest.fixture(scope="module", params=list(STUDENTS))
def chain(
    request: Any, plugins: Registry, teacher: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> Chain:
    """Each kind of student in turn."""
    return Chain(request.param, teacher, tmp_path_factory.mktemp(request.param))


def logits(artifact: Artifact, plugins: Registry, texts: list[str]) -> np.ndarray:
    """The model's logits [texts, labels] of one batch, in its engine."""
    engine = engine_for(plugins, artifact.traits.format)
    session = engine.open(artifact, Placement("cpu", 1), CLASSIFY)
    processor = CLASSIFY.processor(artifact.folder)
    features = CLASSIFY.features(CLASSIFY.request(texts), processor)
    return session.run(CLASSIFY.collate(features, processor))["logits"]


def test_the_student_is_a_folder_of_its_kind(chain: Chain) -> None:
    student = chain["student"]
    config = json.loads((student.folder / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == chain.kind and config["vocab_size"] == 21
    assert (student.folder / "model.safetensors").is_file()
    assert student.manifest.needs == ("compress-toolkit",) or any(
        name.startswith("compress") for name in student.manifest.needs
    )


@pytest.mark.parametrize("form", ["student", "float", "int8"])
def test_the_logits_of_a_text_are_those_that_it_has_in_a_batch(
    form: str, chain: Chain, plugins: Registry
) -> None:
    together = logits(chain[form], plugins, TEXTS)
    alone = [logits(chain[form], plugins, [text])[0] for text in TEXTS]
    tolerance = 1e-5 if form != "int8" else 0.05  # one scale for the whole batch
    assert np.allclose(together, alone, atol=tolerance)


def test_the_graphs_give_the_model_s_answers(chain: Chain, plugins: Registry) -> None:
    wanted = logits(chain["student"], plugins, TEXTS)
    assert np.allclose(logits(chain["float"], plugins, TEXTS), wanted, atol=1e-5)
    assert np.allclose(logits(chain["int8"], plugins, TEXTS), wanted, atol=0.1)


def test_int8_reaches_embeddings_and_lstms_and_says_what_it_leaves(chain: Chain) -> None:
    graph = onnx_ir.load(chain["int8"].folder / "onnx" / "model_quantized.onnx")
    kinds = [node.op_type for node in graph.graph]
    floats = {
        name
        for name, value in graph.graph.initializers.items()
        if value.const_value is not None
        and value.const_value.dtype == onnx_ir.DataType.FLOAT
        and value.const_value.size >= 21 * 8  # the embeddings and more
    }
    notes = chain["int8"].manifest.notes
    if chain.kind == "bilstm":
        assert kinds.count("DynamicQuantizeLSTM") == 4 and "LSTM" not in kinds
    if chain.kind == "bigru":
        assert notes["float_operators"] == {"GRU": 4}
    else:
        assert floats == set() and "float_operators" not in notes


def test_onnx_runtime_serves_the_int8_graph_alone(chain: Chain, tmp_path: Path) -> None:
    answer = command_in(tmp_path)("predict", chain["int8"].folder, *TEXTS, "--json")
    assert answer.code == 0, answer.err
    assert answer.heavy == "onnxruntime" and len(answer.value) == len(TEXTS)


@pytest.mark.slow
def test_a_fresh_process_opens_the_student(chain: Chain, tmp_path: Path) -> None:
    answer = command_in(tmp_path)("predict", chain["student"].folder, *TEXTS, "--json")
    assert answer.code == 0, answer.err


@pytest.mark.parametrize("kind", ["bilstm", "bigru"])
def test_recurrent_students_tag_tokens(kind: str, plugins: Registry, tmp_path: Path) -> None:
    teacher = save_bert(tmp_path / "teacher", TAG, TAGS)
    made = make_artifact(
        tmp_path / "a", "distill", TAG, TAGGED, input=teacher, student=STUDENTS[kind], **TRAINING
    )
    config = json.loads((made.folder / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"][0].endswith("ForTokenClassification")


@pytest.mark.parametrize("kind", ["bilstm", "bigru"])
def test_padding_reaches_no_state_in_either_direction(kind: str, plugins: Registry) -> None:
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(1)
    model = AutoModel.from_config(AutoConfig.for_model(kind, vocab_size=21, **SMALL)).eval()
    ids = torch.tensor([[5, 6, 7], [8, 0, 0]])
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    with torch.no_grad():
        together = model(ids, mask).last_hidden_state
        alone = [model(ids[:1]).last_hidden_state[0], model(ids[1:, :1]).last_hidden_state[0]]
        filled = model(ids + 3 * (1 - mask), mask).last_hidden_state
    assert torch.allclose(together[0], alone[0], atol=1e-6)
    assert torch.allclose(together[1, :1], alone[1], atol=1e-6)
    assert together[1, 1:].abs().max() == 0 and torch.equal(together, filled)


def test_an_odd_width_is_refused(plugins: Registry, teacher: Artifact, tmp_path: Path) -> None:
    odd = {"type": "bilstm", "hidden_size": 15}
    with pytest.raises(Exception, match="hidden_size: got 15: expected an even number"):
        make_artifact(
            tmp_path / "a", "distill", CLASSIFY, ROWS, input=teacher, student=odd, **TRAINING
        )


def test_hidden_states_are_refused_where_a_model_has_none(
    plugins: Registry, teacher: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="static model"):
        make_artifact(
            tmp_path / "a",
            "distill",
            CLASSIFY,
            ROWS,
            input=teacher,
            student=STUDENTS["static"],
            **TRAINING,
        )
