"""Exporting families whose inputs have bounds of their own, or two lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
import pytest
import torch
from compress_onnx.exporting import _name_axes, export_graph
from compress_onnx.graph import write_graph
from compress_onnx.session import OnnxSession
from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

from compress.engine import Placement
from compress.errors import ModelRefused
from compress.exportable import axes_of, with_unequal_lengths
from compress.exporting import whole
from compress.sessions import TorchSession

IDS = 40
PLAIN: dict[str, Any] = {
    "vocab_size": IDS,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


def family(kind: str, head: Any, **values: Any) -> TorchSession:
    """A tiny model of a family."""
    torch.manual_seed(0)
    return TorchSession(head.from_config(AutoConfig.for_model(kind, **values)).eval(), "cpu")


def tokens(rows: int, length: int, seed: int = 0) -> np.ndarray:
    """Ids that are no special ones."""
    return np.random.default_rng(seed).integers(6, IDS, size=(rows, length))


def run_exported(model: TorchSession, batch: dict[str, np.ndarray], folder: Path) -> OnnxSession:
    """A session on the model's graph, traced with ``batch``."""
    graph = export_graph(whole(model.model, batch))
    write_graph(graph, folder / "model.onnx")
    return OnnxSession(folder / "model.onnx", Placement("cpu", 1))


def axes_in(file: Path) -> dict[str, list[str]]:
    """The names of the axes of each input of a file."""
    inputs = onnx_ir.load(file).graph.inputs
    return {value.name or "": list(map(str, value.shape or ())) for value in inputs}


def test_an_encoder_and_a_decoder_have_lengths_of_their_own(tmp_path: Path) -> None:
    model = family(
        "bart",
        AutoModelForSeq2SeqLM,
        vocab_size=IDS,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_position_embeddings=32,
    )

    def batch(rows: int, source: int, target: int) -> dict[str, np.ndarray]:
        return {
            "input_ids": tokens(rows, source),
            "attention_mask": np.ones((rows, source), dtype=np.int64),
            "decoder_input_ids": tokens(rows, target, 1),
        }

    made = run_exported(model, with_unequal_lengths(batch(2, 6, 6)), tmp_path)
    assert axes_in(tmp_path / "model.onnx") == {
        "input_ids": ["batch_size", "encoder_sequence_length"],
        "attention_mask": ["batch_size", "encoder_sequence_length"],
        "decoder_input_ids": ["batch_size", "decoder_sequence_length"],
    }
    for sizes in ((1, 3, 9), (3, 9, 3), (2, 5, 5), (1, 1, 2)):
        want, got = model.run(batch(*sizes)), made.run(batch(*sizes))
        np.testing.assert_allclose(got["logits"], want["logits"], atol=1e-4)


def test_a_family_without_a_longest_text_is_exported_and_gives_no_memories(tmp_path: Path) -> None:
    model = family(
        "xlnet",
        AutoModelForSequenceClassification,
        vocab_size=IDS,
        d_model=16,
        n_layer=1,
        n_head=2,
        d_inner=16,
    )
    made = run_exported(model, {"input_ids": tokens(2, 7)}, tmp_path)
    for rows, length in ((1, 1), (3, 12)):
        batch = {"input_ids": tokens(rows, length)}
        want, got = model.run(batch), made.run(batch)
        assert list(got) == ["logits"]
        np.testing.assert_allclose(got["logits"], want["logits"], atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "values", "reason"),
    [
        (
            "longformer",
            {**PLAIN, "attention_window": 4, "max_position_embeddings": 32},
            "depends on numbers that only a run knows",
        ),
        (
            "funnel",
            {"vocab_size": IDS, "block_sizes": [1], "d_model": 16, "n_head": 2, "d_head": 8},
            "bound to one length",
        ),
    ],
)
def test_a_family_that_cannot_be_exported_is_refused_by_name_in_one_line(
    kind: str, values: dict[str, Any], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = family(kind, AutoModelForSequenceClassification, **values)
    batch = {"input_ids": tokens(2, 7), "attention_mask": np.ones((2, 7), dtype=np.int64)}
    with pytest.raises(ModelRefused, match=f"a {kind} model cannot be exported.*{reason}") as met:
        export_graph(whole(model.model, batch))
    assert "\n" not in str(met.value)
    assert "Traceback" in capsys.readouterr().err, "which goes to the worker's log"


def test_a_graph_that_takes_one_length_for_the_other_is_refused() -> None:
    inputs = [
        onnx_ir.Value(name=name, shape=onnx_ir.Shape(["s1", "s2"]))
        for name in ("input_ids", "decoder_input_ids")
    ]
    graph = onnx_ir.Graph(inputs, [], nodes=[])
    batch = {"input_ids": tokens(2, 7), "decoder_input_ids": tokens(2, 7)}
    with pytest.raises(
        ModelRefused, match="takes decoder_sequence_length for encoder_sequence_length"
    ):
        axes = {name: dict(enumerate(axes_of(name, batch))) for name in batch}
        _name_axes(onnx_ir.Model(graph, ir_version=10), axes, "a toy")


def test_the_lengths_of_a_batch_are_made_unequal_and_one_length_stays() -> None:
    both = {"input_ids": tokens(2, 5), "decoder_input_ids": tokens(2, 5), "weights": np.ones(2)}
    cut = with_unequal_lengths(both)
    assert {name: array.shape for name, array in cut.items()} == {
        "input_ids": (2, 5),
        "decoder_input_ids": (2, 4),
        "weights": (2,),
    }
    other = with_unequal_lengths(both, "encoder_sequence_length")
    assert other["input_ids"].shape == (2, 4) and other["decoder_input_ids"].shape == (2, 5)
    assert with_unequal_lengths({"input_ids": tokens(2, 5)})["input_ids"].shape == (2, 5)
