"""What the ONNX engine reads of a file's weights, against the PyTorch model that was exported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir
import pytest
import torch
from compress_onnx import FLOAT_FILE, INT8_FILE, OnnxRuntimeEngine
from compress_onnx.exporting import export_graph
from compress_onnx.graph import write_graph
from compress_onnx.rewriting import quantize_graph
from compress_onnx.weights import initializers
from transformers import BertConfig, BertForSequenceClassification

from compress.artifact import Artifact, Manifest, Traits
from compress.exporting import whole


@pytest.fixture(scope="module")
def model() -> BertForSequenceClassification:
    torch.manual_seed(0)
    made = BertForSequenceClassification(
        BertConfig(
            vocab_size=50,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=4,
            intermediate_size=48,
            max_position_embeddings=40,
            num_labels=3,
        )
    ).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(
            parameter
        )  # equal ones, such as biases of zeros, would be stored once
    return made


@pytest.fixture(scope="module")
def exported(
    model: BertForSequenceClassification, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    ids = np.arange(10).reshape(2, 5)
    part = whole(model, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    write_graph(export_graph(part), folder / FLOAT_FILE)
    return folder


def artifact(folder: Path, precision: str) -> Artifact:
    return Artifact(
        folder, Manifest(Traits(format="onnx", precision=precision), {}, "step", "stage")
    )


def test_a_float_export_stores_the_weights_of_the_model(
    model: BertForSequenceClassification, exported: Path
) -> None:
    stored = [
        v
        for _, v in OnnxRuntimeEngine().weights(artifact(exported, "float"))
        if v.dtype == np.float32
    ]
    for name, parameter in model.named_parameters():
        # An export multiplies by the transpose of a linear layer's weight.
        values = parameter.detach().numpy()
        assert any(np.array_equal(v, values) or np.array_equal(v.T, values) for v in stored), name
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters <= sum(v.size for v in stored) <= parameters + 20  # scalars of the graph


def test_weights_in_a_file_beside_the_graph_are_read_too(exported: Path, tmp_path: Path) -> None:
    onnx_ir.save(
        onnx_ir.load(exported / FLOAT_FILE),
        tmp_path / "model.onnx",
        external_data="model.onnx.data",
    )
    expected, found = (
        dict(initializers(exported / FLOAT_FILE)),
        dict(initializers(tmp_path / "model.onnx")),
    )
    assert (
        tmp_path / "model.onnx.data"
    ).stat().st_size > 10_000 and found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_an_int8_file_stores_integers_with_their_scales_and_zero_points(
    exported: Path, tmp_path: Path
) -> None:
    graph = quantize_graph(
        onnx_ir.load(exported / FLOAT_FILE), per_channel=False, reduce_range=False
    )
    write_graph(graph, tmp_path / INT8_FILE)
    stored = dict(OnnxRuntimeEngine().weights(artifact(tmp_path, "int8")))
    quantized = {
        n.removesuffix("_quantized"): v for n, v in stored.items() if n.endswith("_quantized")
    }
    assert {v.dtype.name for v in quantized.values()} <= {"int8", "uint8"} and len(quantized) >= 6
    floats = dict(initializers(exported / FLOAT_FILE))
    for name, values in quantized.items():
        if name in floats:
            restored = (values.astype(np.float32) - stored[f"{name}_zero_point"]) * stored[
                f"{name}_scale"
            ]
            assert np.abs(restored - floats[name]).max() <= stored[f"{name}_scale"]


def test_weights_are_read_without_torch(exported: Path) -> None:
    code = f"""
import sys
sys.modules["torch"] = sys.modules["transformers"] = None
from pathlib import Path
from compress_onnx.weights import initializers
assert sum(1 for _ in initializers(Path({str(exported / FLOAT_FILE)!r}))) > 10
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
