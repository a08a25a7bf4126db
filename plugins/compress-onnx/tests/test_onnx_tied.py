"""One matrix for looking tokens up and for scoring the next one; one file for a decoder and what
its layers make of a text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir
import pytest
from compress_onnx.graph import count_int8, write_graph
from compress_onnx.merging import merged, parted
from compress_onnx.rewriting import quantize_graph
from compress_onnx.session import OnnxSession
from onnx_ir import DataType, Graph, Model, Shape, TensorType, Value

from compress.engine import Placement

ONE = Placement("cpu", 1)
WORDS, WIDTH = 300, 32


def value(name: str, kind: DataType, *shape: int | str) -> Value:
    return Value(name=name, type=TensorType(kind), shape=Shape(shape))


def stored(name: str, array: np.ndarray) -> Value:
    tensor = onnx_ir.tensor(array, name=name)
    return Value(name=name, type=TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)


def model_of(inputs: list[Value], outputs: list[Value], weights: list[Value]) -> Model:
    """The model of all nodes that compute ``outputs``."""
    nodes: list[onnx_ir.Node] = []

    def add(value: Value | None) -> None:
        node = value.producer() if value is not None else None
        if node is not None and node not in nodes:
            for given in node.inputs:
                add(given)
            nodes.append(node)

    for output in outputs:
        add(output)
    graph = Graph(
        inputs, outputs, nodes=nodes, initializers=weights, opset_imports={"": 20}, name="model"
    )
    return Model(graph, ir_version=10)


def tied(seed: int = 0) -> tuple[Model, np.ndarray]:
    """Looks tokens up in a matrix, and multiplies with it."""
    table = np.random.default_rng(seed).normal(size=(WORDS, WIDTH)).astype(np.float32)
    ids, matrix = value("ids", DataType.INT64, "n", "m"), stored("table", table)
    found = onnx_ir.node("Gather", [matrix, ids], name="look_up")
    turned = onnx_ir.node("Transpose", [matrix], {"perm": [1, 0]}, name="turn")
    scored = onnx_ir.node("MatMul", [found.outputs[0], turned.outputs[0]], name="score")
    for node, name in ((found, "found"), (turned, "turned"), (scored, "logits")):
        node.outputs[0].name = name
    logits = scored.outputs[0]
    logits.type, logits.shape = TensorType(DataType.FLOAT), Shape(["n", "m", WORDS])
    found.outputs[0].type, found.outputs[0].shape = logits.type, Shape(["n", "m", WIDTH])
    return model_of([ids], [logits], [matrix]), table


@pytest.mark.parametrize("reduce_range", [False, True])
def test_a_matrix_that_is_read_twice_is_one_of_integers(reduce_range: bool, tmp_path: Path) -> None:
    graph, table = tied()
    made = quantize_graph(graph, per_channel=False, reduce_range=reduce_range)
    kinds = [v.dtype for v in made.graph.initializers.values() if v.shape == Shape([WORDS, WIDTH])]
    assert kinds == [DataType.INT8] and count_int8(made) == 1
    write_graph(made, tmp_path / "model.onnx")
    ids = np.arange(WORDS).reshape(2, -1)
    got = OnnxSession(tmp_path / "model.onnx", ONE).run({"ids": ids})["logits"]
    want = table[ids] @ table.T
    assert np.abs(got - want).max() < 0.05 * np.abs(want).max()
    assert (got.argmax(axis=-1) == ids).all()  # each row is nearest to itself


def part_of_text() -> Model:
    """Keys of a text, from what an encoder returns."""
    hidden = value("encoder_hidden_states", DataType.FLOAT, "b", "encoder_sequence_length", 4)
    weight = stored("weight", np.arange(16, dtype=np.float32).reshape(4, 4))
    made = onnx_ir.node("MatMul", [hidden, weight], name="product")
    (keys,) = made.outputs
    keys.name, keys.type = "present.0.encoder.key", hidden.type
    keys.shape = hidden.shape
    return model_of([hidden], [keys], [weight])


def decoder() -> Model:
    """Adds a number to the keys of a text, with a name that the other part has too."""
    past = value("past_key_values.0.encoder.key", DataType.FLOAT, "b", "encoder_sequence_length", 4)
    weight = stored("weight", np.array([5.0], dtype=np.float32))
    made = onnx_ir.node("Add", [past, weight], name="product")
    (logits,) = made.outputs
    logits.name, logits.type, logits.shape = "logits", past.type, past.shape
    return model_of([past], [logits], [weight])


def test_a_merged_decoder_makes_what_it_is_not_given(tmp_path: Path) -> None:
    write_graph(merged(decoder(), part_of_text()), tmp_path / "model.onnx")
    session = OnnxSession(tmp_path / "model.onnx", ONE)
    hidden = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    keys = hidden @ np.arange(16, dtype=np.float32).reshape(4, 4)
    name = "past_key_values.0.encoder.key"
    text = {"encoder_hidden_states": hidden, name: np.zeros((2, 0, 4), dtype=np.float32)}
    first = session.run({**text, "use_cache_branch": np.array([False])})
    np.testing.assert_allclose(first["present.0.encoder.key"], keys, rtol=1e-5)
    np.testing.assert_allclose(first["logits"], keys + 5, rtol=1e-5)
    given = {**text, name: 2 * keys, "use_cache_branch": np.array([True])}
    np.testing.assert_allclose(session.run(given)["logits"], 2 * keys + 5, rtol=1e-5)


def test_a_merged_decoder_comes_apart_again(tmp_path: Path) -> None:
    write_graph(merged(decoder(), part_of_text()), tmp_path / "merged.onnx")
    parts = parted(onnx_ir.load(tmp_path / "merged.onnx"))
    for part, name, other in zip(parts, ("one", "two"), (decoder(), part_of_text()), strict=True):
        write_graph(part, tmp_path / f"{name}.onnx")
        session = OnnxSession(tmp_path / f"{name}.onnx", ONE)
        assert session.inputs == tuple(value.name for value in other.graph.inputs)
        batch = {name: np.ones((2, 3, 4), dtype=np.float32) for name in session.inputs}
        write_graph(other, tmp_path / "other.onnx")
        want = OnnxSession(tmp_path / "other.onnx", ONE).run(batch)
        got = session.run(batch)
        assert got.keys() == want.keys()
        for output, array in want.items():
            np.testing.assert_array_equal(got[output], array)


def test_what_a_decoder_returns_is_not_copied_and_stays(tmp_path: Path) -> None:
    write_graph(merged(decoder(), part_of_text()), tmp_path / "model.onnx")
    session = OnnxSession(tmp_path / "model.onnx", ONE)
    batch = {
        "encoder_hidden_states": np.ones((1, 3, 4), dtype=np.float32),
        "past_key_values.0.encoder.key": np.zeros((1, 0, 4), dtype=np.float32),
        "use_cache_branch": np.array([False]),
    }
    first = session.run(batch)["logits"]
    kept = first.copy()
    assert not first.flags.owndata and not first.flags.writeable
    for _ in range(20):
        session.run({**batch, "encoder_hidden_states": 7 * batch["encoder_hidden_states"]})
    np.testing.assert_array_equal(first, kept)
