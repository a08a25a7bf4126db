"""Exporting what an architecture names: several parts of a model, and a part that is traced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from compress_onnx import ExportOptions, QuantizeOptions
from compress_onnx.exporting import export_graph
from compress_onnx.floatgraph import examples_of, float_graphs
from compress_onnx.graph import write_graph
from compress_onnx.make import export, quantize
from compress_onnx.session import OnnxSession
from tiny import save_bert, task_named
from torch import Tensor, nn
from transformers import PreTrainedModel

from compress.architecture import Architecture
from compress.artifact import Artifact
from compress.engine import Placement
from compress.exportable import Exportable
from compress.exporting import PartSession
from compress.models import open_model

ONE = Placement("cpu", 1)
TASK = task_named("text-classification")


class Pooled(nn.Module):
    """The body of a BERT."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        answer = self.model.bert(input_ids, attention_mask=attention_mask)
        return {"pooled": answer.pooler_output, "unread": answer.last_hidden_state}


class Head(nn.Module):
    """The head of a BERT."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pooled: Tensor) -> dict[str, Tensor]:
        return {"logits": self.model.classifier(pooled)}


class InTwo(Architecture):
    """BERTs as a body and a head."""

    name = "in-two"
    model_types = ("bert",)

    @classmethod
    def exportables(
        cls, model: PreTrainedModel, task: Any, batch: Mapping[str, np.ndarray]
    ) -> Sequence[Exportable]:
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        both = dict.fromkeys(inputs, ("batch_size", "sequence_length"))
        # Traced, which takes a tenth of the seconds.
        body = Exportable("body", Pooled(model), inputs, both, ("pooled",), traced=True)
        pooled = PartSession(body).run(inputs)
        axes = {"pooled": ("batch_size",)}
        head = Exportable("head", Head(model), pooled, axes, ("logits",), traced=True)
        return [body, head]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return save_bert(tmp_path_factory.mktemp("bert"), TASK)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    store = tmp_path_factory.mktemp("store")

    def product(kind: str, ingredients: Any, make: Any) -> Path:
        if not any(store.iterdir()):
            make(store)
        return store

    return SimpleNamespace(task=TASK, architectures=(InTwo,), data=None, product=product)


def test_each_part_that_an_architecture_names_is_a_file_that_was_checked(
    bert: Artifact, context: SimpleNamespace
) -> None:
    body, head = float_graphs(context, bert)
    assert (body.name, head.name) == ("body.onnx", "head.onnx")
    first, second = OnnxSession(body, ONE), OnnxSession(head, ONE)
    model = open_model(bert, TASK)
    for batch in examples_of(body):
        pooled = first.run(batch)
        assert list(pooled) == ["pooled"]
        want = model(**{name: torch.as_tensor(array) for name, array in batch.items()}).logits
        got = second.run(pooled)["logits"]
        np.testing.assert_allclose(got, want.detach().numpy(), atol=1e-5)


def test_all_parts_are_written_fused_and_quantized(
    bert: Artifact, context: SimpleNamespace, tmp_path: Path
) -> None:
    context.output = tmp_path
    context.options = ExportOptions(fusions=True)
    export(context, bert)
    context.options = QuantizeOptions(reduce_range=True)
    notes = quantize(context, bert)
    assert sorted(path.name for path in (tmp_path / "onnx").iterdir()) == [
        "body.onnx",
        "body_quantized.onnx",
        "head.onnx",
        "head_quantized.onnx",
    ]
    assert notes["int8_operators"] == 8, "six of the layer, the pooler, the head"


class Recurrent(nn.Module):
    """An LSTM in both directions, which reads no padding."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True, bidirectional=True)

    def forward(self, numbers: Tensor, mask: Tensor) -> dict[str, Tensor]:
        packed = nn.utils.rnn.pack_padded_sequence(
            numbers, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(
            self.lstm(packed)[0], batch_first=True, total_length=numbers.shape[1]
        )
        return {"sums": states.sum(1), "unread": states}


def test_an_lstm_is_exported_by_a_trace_and_runs_on_other_sizes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    axes = dict.fromkeys(("numbers", "mask"), ("batch_size", "sequence_length"))
    part = Exportable("model", Recurrent(), numbers(2, 5), axes, ("sums",), traced=True)
    write_graph(export_graph(part), tmp_path / "model.onnx")
    made = OnnxSession(tmp_path / "model.onnx", ONE)
    for rows, length in ((1, 1), (3, 9)):
        batch = numbers(rows, length)
        want, got = PartSession(part).run(batch), made.run(batch)
        assert list(got) == ["sums"]
        np.testing.assert_allclose(got["sums"], want["sums"], atol=1e-6)


def numbers(rows: int, length: int) -> dict[str, np.ndarray]:
    """A batch whose first row is the longest."""
    values = np.random.default_rng(0).normal(size=(rows, length, 3)).astype(np.float32)
    mask = np.ones((rows, length), dtype=np.int64)
    mask[1:, 1 + length // 2 :] = 0
    return {"numbers": values, "mask": mask}
