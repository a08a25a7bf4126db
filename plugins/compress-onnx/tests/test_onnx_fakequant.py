"""Rounding with gradients, against ONNX Runtime's quantizer and against autograd; and which modules
of a model the layers of a graph are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx_ir
import pytest
import torch
from compress_onnx.fakequant import STEPS, Int8Layer, LearnedRanges, rounded, rounded_weight
from compress_onnx.learning import rounding_of
from compress_onnx.reading import axes_of_weights, shared_ranges
from onnx import TensorProto
from onnxruntime.quantization.quant_utils import compute_scale_zp, quantize_data
from torch import Tensor

from compress.errors import ModelRefused

VALUES = torch.randn(40, 7, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("reduce_range", [False, True])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_weights_are_rounded_as_the_quantizer_rounds_them(
    axis: int | None, reduce_range: bool
) -> None:
    weight = VALUES.clone()
    weight[3] = 0
    made = rounded_weight(weight, axis, reduce_range=reduce_range).numpy()
    if axis is None:
        parts, kind = [weight.numpy()], TensorProto.UINT8
    else:
        parts, kind = [one.numpy() for one in weight.unbind(axis)], TensorProto.INT8
    expected = []
    for part in parts:
        zero, scale, stored = quantize_data(part.ravel(), kind, axis is not None, reduce_range)
        whole = (stored.astype(np.float32) - np.float32(zero)) * np.float32(scale)
        expected.append(whole.reshape(part.shape))
    wanted = expected[0] if axis is None else np.stack(expected, axis=axis)
    assert np.allclose(made, wanted, rtol=1e-6, atol=1e-6)


def test_the_gradient_of_weights_is_handed_on() -> None:
    weight = VALUES.clone().requires_grad_()
    factor = torch.randn(VALUES.shape, generator=torch.Generator().manual_seed(1))
    (rounded_weight(weight, 0, reduce_range=False) * factor).sum().backward()
    assert weight.grad is not None and torch.equal(weight.grad, factor)


def straight(values: Tensor, limits: Tensor) -> Tensor:
    """The same by autograd: roundings have the gradient 1, and cuts that of what they give."""
    low, high = limits
    step = (high - low) / STEPS
    exact = -low / step
    zero = exact + (exact.round() - exact).detach()
    places = values / step
    places = places + (places.round() - places).detach() + zero
    return (places.clamp(0, STEPS) - zero) * step


@pytest.mark.parametrize(("low", "high"), [(-1.2, 1.1), (-0.3, 1.7), (-4.0, 4.0), (0.0, 1.5)])
def test_inputs_and_gradients_are_those_of_autograd(low: float, high: float) -> None:
    found = []
    for function in (rounded, straight):
        values = VALUES.clone().requires_grad_()
        limits = torch.tensor([low, high]).requires_grad_()
        made = function(values, limits)
        made.square().sum().backward()
        assert values.grad is not None and limits.grad is not None
        found.append((made.detach(), values.grad, limits.grad))
    (made, of_values, of_limits), (expected, by_values, by_limits) = found
    assert torch.allclose(made, expected, atol=1e-6)
    assert torch.allclose(of_values, by_values, atol=1e-4)
    assert torch.allclose(
        of_limits * (VALUES.numel() * STEPS) ** 0.5, by_limits, rtol=0.01, atol=0.5
    )


@pytest.mark.parametrize(("low", "high"), [(-1.2, 1.1), (-0.3, 1.7), (0.0, 1.5), (0.0, 0.0)])
def test_a_range_has_the_scale_and_the_zero_of_the_quantizer(low: float, high: float) -> None:
    zero, scale = compute_scale_zp(
        np.float32(low), np.float32(high), np.array(0, np.uint8), np.array(255, np.uint8)
    )
    stored = np.clip(np.round(VALUES.numpy() / scale) + int(zero), 0, 255)
    made = rounded(VALUES, torch.tensor([low, high]))
    assert np.allclose(made.numpy(), (stored - int(zero)) * scale, atol=1e-6)


def test_a_limit_moves_by_a_share_of_itself_and_keeps_its_side_of_0() -> None:
    ranges = LearnedRanges(torch.tensor([[-4.0, 8.0], [0.0, 1.0]]))
    assert torch.equal(ranges.all(), ranges.start)
    with torch.no_grad():
        ranges.logs += 0.01
    assert torch.allclose(ranges.all(), ranges.start * torch.e)
    assert torch.equal(ranges(1), ranges.all()[1])


def graph_of(*nodes: onnx_ir.Node, **matrices: np.ndarray) -> onnx_ir.Model:
    """A graph of ``nodes``, whose inputs with these names are stored."""
    values = {value for node in nodes for value in node.inputs if value is not None}
    for value in values:
        if value.name in matrices:
            value.const_value = onnx_ir.tensor(matrices[str(value.name)], name=value.name)
    stored = [value for value in values if value.const_value is not None]
    graph = onnx_ir.Graph([], [], nodes=nodes, initializers=stored)
    return onnx_ir.Model(graph, ir_version=10)


def product(name: str, value: Any, matrix: Any) -> onnx_ir.Node:
    node = onnx_ir.node("MatMul", [value, matrix], name=name)
    node.outputs[0].name = f"of {name}"
    return node


WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_layers_of_one_value_and_runs_of_one_module_share_a_range() -> None:
    x, y, w = (onnx_ir.Value(name=name) for name in "xyw")
    nodes = [product("a", x, w), product("b", x, w), product("b#1", y, w), product("c", y, w)]
    graph = graph_of(*nodes, w=WEIGHT)
    found = shared_ranges(graph, kept=[])
    assert [(one.values, one.modules) for one in found] == [({"x", "y"}, {"a", "b", "c"})]
    found = shared_ranges(graph, kept=["b#1"])
    assert [one.modules for one in found] == [{"a", "b"}, {"c"}]


def test_what_an_int8_embedding_gives_is_not_rounded_again() -> None:
    ids, table, w = (onnx_ir.Value(name=name) for name in ("ids", "table", "w"))
    looked = onnx_ir.node("Gather", [table, ids], name="words")
    looked.outputs[0].name = "x"
    graph = graph_of(looked, product("a", looked.outputs[0], w), w=WEIGHT, table=WEIGHT.T)
    assert shared_ranges(graph, kept=[]) == []
    assert [one.modules for one in shared_ranges(graph, kept=["words"])] == [{"a"}]


def test_a_layer_that_is_no_module_is_kept_in_floats_and_a_model_of_such_layers_is_refused() -> (
    None
):
    x, w = (onnx_ir.Value(name=name) for name in "xw")
    graph = graph_of(product("0", x, w), product("/MatMul", x, w), w=WEIGHT)
    module, said = torch.nn.Sequential(torch.nn.Linear(2, 3)), list[str]()
    context: Any = SimpleNamespace(note=said.append)
    with pytest.raises(ModelRefused, match="none of its layers can be trained in int8"):
        rounding_of(context, graph, module, kept=[])
    assert not said
    with torch.no_grad():
        module[0].weight.copy_(torch.from_numpy(WEIGHT.T))
    rounding = rounding_of(context, graph, module, kept=[])
    assert rounding.layers == [Int8Layer("0", 0, 0)] and rounding.kept == ["/MatMul"]
    assert "float32: /MatMul" in said[0]


def test_scales_are_along_the_outputs_of_a_module_whichever_way_it_stores_them() -> None:
    x, w = (onnx_ir.Value(name=name) for name in "xw")
    graph = graph_of(*(product(name, x, w) for name in ("a", "b", "c", "d")), w=WEIGHT)
    weights = {"a": WEIGHT, "b": WEIGHT.T, "c": WEIGHT + 1}
    assert axes_of_weights(graph, weights, kept=[]) == {"a": 1, "b": 0}
