"""Matrices that a model reads twice: to look tokens up, and to score the next token. In int8 both
use one copy. With ``onnx_ir`` alone, no torch.

ONNX Runtime's quantizer makes int8 of the matrix for the look-up. For the product it turns that
copy to floats again, at each call. Here the product is one of integers, as the quantizer makes
those of other matrices.
"""

from __future__ import annotations

import numpy as np
import onnx_ir
from onnx_ir.convenience import replace_all_uses_with
from onnx_ir.passes.common import RemoveUnusedNodesPass

_HALF = 128


def multiply_in_int8(graph: onnx_ir.Model) -> None:
    """Replace products with a matrix that is in int8 only for its look-up, in place."""
    for node in list(graph.graph):
        stored = _turned_back(node)
        if stored is not None:
            matrix, dequantized = stored
            _make_signed(graph.graph, matrix)
            _replace(graph.graph, node, dequantized)
    RemoveUnusedNodesPass()(graph)


def _turned_back(node: onnx_ir.Node) -> tuple[onnx_ir.Value, onnx_ir.Node] | None:
    """The int8 matrix with whose transpose ``node`` multiplies, and the node that makes floats of
    it; None for any other node."""
    if node.op_type != "MatMul":
        return None
    dequantized = _producer(node.inputs[1], "DequantizeLinear")
    transposed = _producer(dequantized.inputs[0], "Transpose") if dequantized else None
    if dequantized is None or transposed is None:
        return None
    matrix = transposed.inputs[0]
    return (matrix, dequantized) if matrix is not None and matrix.is_initializer() else None


def _producer(value: onnx_ir.Value | None, kind: str) -> onnx_ir.Node | None:
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type == kind else None


def _make_signed(graph: onnx_ir.Graph, matrix: onnx_ir.Value) -> None:
    """Store unsigned values and their zero point less 128. The numbers that they stand for stay;
    products of unsigned with signed integers are the quicker ones."""
    points = [n.inputs[2] for v in _copies(matrix) for n in _readers(v, "DequantizeLinear")]
    for value in {matrix, *filter(None, points)}:
        assert value.const_value is not None
        stored = value.const_value.numpy()
        if stored.dtype == np.uint8:
            signed = (stored.astype(np.int16) - _HALF).astype(np.int8)
            value.const_value = onnx_ir.tensor(signed, name=value.name)
            value.dtype = onnx_ir.DataType.INT8
    for value in _copies(matrix):
        value.dtype = onnx_ir.DataType.INT8


def _copies(matrix: onnx_ir.Value) -> list[onnx_ir.Value]:
    """What is looked up in ``matrix`` and its transpose: values of its type."""
    readers = [*_readers(matrix, "Gather"), *_readers(matrix, "Transpose")]
    return [node.outputs[0] for node in readers]


def _readers(value: onnx_ir.Value, kind: str) -> list[onnx_ir.Node]:
    return [node for node in value.consumers() if node.op_type == kind]


def _replace(graph: onnx_ir.Graph, product: onnx_ir.Node, dequantized: onnx_ir.Node) -> None:
    """Make a product of floats one of integers, as in the quantizer's MatMulInteger."""
    matrix, scale, point = dequantized.inputs
    given, made = product.inputs[0], product.outputs[0]
    quantized = onnx_ir.node("DynamicQuantizeLinear", [given], num_outputs=3)
    values, own_scale, own_point = quantized.outputs
    product_of_scales = onnx_ir.node("Mul", [own_scale, scale])
    integers = onnx_ir.node("MatMulInteger", [values, matrix, own_point, point])
    floats = onnx_ir.node("Cast", integers.outputs, {"to": onnx_ir.DataType.FLOAT})
    scaled = onnx_ir.node("Mul", [floats.outputs[0], product_of_scales.outputs[0]])
    nodes = [quantized, product_of_scales, integers, floats, scaled]
    for node in nodes:
        for place, value in enumerate(node.outputs):
            value.name = f"{made.name}_tied_{node.op_type}_{nodes.index(node)}_{place}"
    graph.insert_before(product, nodes)
    (new,) = scaled.outputs
    new.shape, new.type = made.shape, made.type
    replace_all_uses_with(made, new, replace_graph_outputs=True)
    name, made.name = made.name, f"{made.name}_unused"
    graph.remove(product, safe=True)
    new.name = name
