"""Which modules of a model the int8 layers of its graph are, and which of them read one value. With
``onnx_ir`` alone, no torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir

from compress_onnx.graph import PRODUCTS
from compress_onnx.layers import layers, matrix_of

_AGAIN = "#"
"""Begins the number of a further run of a module, in the name of a layer."""


@dataclass
class Shared:
    """Layers and the values that they read, which have one range: they read the same value, or are
    runs of one module."""

    values: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)


def module_of(layer: str) -> str:
    """The module that a layer of a graph is a run of."""
    return layer.partition(_AGAIN)[0]


def shared_ranges(graph: onnx_ir.Model, kept: Collection[str]) -> list[Shared]:
    """The ranges that the activations of ``graph`` have in int8, in its order. Layers that are
    ``kept`` in floats have none. Nor has what an int8 embedding gives: it is exact."""
    found: list[Shared] = []
    for name, node in layers(graph).items():
        value = node.inputs[0]
        if name in kept or node.op_type not in PRODUCTS or value is None or _is_exact(value, kept):
            continue
        made = Shared({str(value.name)}, {module_of(name)})
        for other in list(found):
            if other.values & made.values or other.modules & made.modules:
                found.remove(other)
                made = Shared(other.values | made.values, other.modules | made.modules)
        found.append(made)
    return found


def _is_exact(value: onnx_ir.Value, kept: Collection[str]) -> bool:
    node = value.producer()
    is_embedding = node is not None and node.op_type == "Gather" and matrix_of(node) is not None
    return is_embedding and node is not None and node.name not in kept


def axes_of_weights(
    graph: onnx_ir.Model, weights: Mapping[str, np.ndarray], kept: Collection[str]
) -> dict[str, int | None]:
    """The modules whose int8 form can be learned, each with the axis of its weight that has a scale
    for each place; None for an embedding, which has one scale. ``weights`` has the matrices of
    modules by their names. Of other layers the graph computes with something that is no weight
    of their module."""
    found: dict[str, int | None] = {}
    for name, node in layers(graph).items():
        module, matrix = module_of(name), matrix_of(node)
        weight = weights.get(module)
        if name in kept or weight is None or matrix is None or matrix.const_value is None:
            continue
        stored = matrix.const_value.numpy()
        if node.op_type not in PRODUCTS:
            if np.array_equal(stored, weight):
                found[module] = None
            continue
        axis = 0 if node.attributes.get_int("transB", 0) else 1
        if np.array_equal(stored, weight):
            found[module] = axis
        elif np.array_equal(stored.T, weight):
            found[module] = 1 - axis
    return found
