"""ONNX graphs: count, clean, write. With ``onnx_ir`` alone, no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx_ir

INT8_OPERATORS = frozenset({"MatMulInteger", "ConvInteger", "DynamicQuantizeLSTM", "QAttention"})
PRODUCTS = ("MatMul", "Gemm")
_RECURRENT = frozenset({"GRU", "LSTM", "RNN"})
ONE_FILE_BYTES = 2_000_000_000
"""Weights below this go into the ONNX file itself; protobuf stops at 2 GiB."""


def count_int8(graph: onnx_ir.Model) -> int:
    """Number of operators of ``graph`` that multiply in int8."""
    count = 0
    for part in graph.graphs():
        count += sum(node.op_type in INT8_OPERATORS or _reads_int8(node) for node in part)
    return count


def _reads_int8(node: onnx_ir.Node) -> bool:
    """Whether ONNX Runtime makes a product of integers of ``node``: both factors are int8."""
    if node.op_type not in PRODUCTS:
        return False
    made = [value.producer() if value is not None else None for value in node.inputs[:2]]
    return all(one is not None and one.op_type == "DequantizeLinear" for one in made)


def left_float(graph: onnx_ir.Model) -> dict[str, int]:
    """How many operators of each recurrent kind multiply in floats still: ONNX Runtime has no int8
    form of a GRU."""
    kinds = (node.op_type for part in graph.graphs() for node in part)
    return dict(Counter(kind for kind in kinds if kind in _RECURRENT))


def write_graph(graph: onnx_ir.Model, file: Path) -> None:
    """Write ``graph``. Weights of more than 2 GB are in a file of their own.

    The exporter writes stack traces with paths of this machine into each node. They are
    removed, so that equal models give equal bytes."""
    _strip(graph)
    file.parent.mkdir(parents=True, exist_ok=True)
    weights = 0
    for part in graph.graphs():
        for value in part.initializers.values():
            weights += value.const_value.nbytes if value.const_value is not None else 0
    beside = f"{file.name}.data" if weights > ONE_FILE_BYTES else None
    onnx_ir.save(graph, file, external_data=beside)


def _strip(graph: onnx_ir.Model) -> None:
    graph.metadata_props.clear()
    graph.doc_string = None
    parts: list[Any] = [*graph.graphs(), *graph.functions.values()]
    for part in parts:
        part.metadata_props.clear()
        part.doc_string = None
        for node in part:
            node.metadata_props.clear()
            node.doc_string = None
    for value in values(graph):
        value.metadata_props.clear()
        value.doc_string = None


def values(graph: onnx_ir.Model) -> Iterator[onnx_ir.Value]:
    """Every value of ``graph`` and of the graphs within it: inputs, weights, what nodes give."""
    for part in graph.graphs():
        yield from part.inputs
        yield from part.initializers.values()
        for node in part:
            yield from node.outputs
