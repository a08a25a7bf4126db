"""The layers of a graph: operators that read a stored matrix, by the names of their modules. With
``onnx_ir`` alone, no torch."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import onnx_ir

from compress.errors import UsageError, listed

_MATRIX: Mapping[str, int] = {"MatMul": 1, "Gemm": 1, "Gather": 0}
"""Which input is the matrix, by the operator's kind."""
_SCOPES = "pkg.torch.onnx.name_scopes"
"""Where the exporter says which modules a node came from, the outermost first."""
_SHOWN = 3


def layers(graph: onnx_ir.Model) -> dict[str, onnx_ir.Node]:
    """The layers of ``graph`` by name, in their order."""
    return {str(node.name): node for node in graph.graph if matrix_of(node) is not None}


def matrix_of(node: onnx_ir.Node) -> onnx_ir.Value | None:
    """The stored float matrix that ``node`` multiplies with or looks up in; None if there is
    none."""
    place = _MATRIX.get(node.op_type)
    value = node.inputs[place] if place is not None else None
    if value is None or value.const_value is None or len(value.const_value.shape) != 2:
        return None
    return value if value.const_value.dtype == onnx_ir.DataType.FLOAT else None


def name_layers(graph: onnx_ir.Model) -> None:
    """Give the layers of a graph that was just exported the names of their PyTorch modules, such
    as ``bert.encoder.layer.0.output.dense``. A module that runs several times has them numbered."""
    taken: dict[str, int] = {}
    for node in layers(graph).values():
        scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
        module = scopes[-2] if len(scopes) > 1 else ""
        if module:
            count = taken.get(module, 0)
            taken[module] = count + 1
            node.name = f"{module}#{count}" if count else module


def matching(patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """The ``names`` that one of the ``patterns`` matches. Raises UsageError for a pattern that
    matches none."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(
                f"keep_float: {pattern!r:.60} matches no layer of the model; it has "
                f"{len(names)}, such as {listed(names[-_SHOWN:])}"
            )
    return [name for name in names if any(fnmatchcase(name, p) for p in patterns)]
