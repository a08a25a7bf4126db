"""One graph of a decoder and of what its layers make of an encoder's text: the
``decoder_model_merged.onnx`` that Transformers.js and optimum read. With ``onnx_ir`` alone, no
torch.

With the first token of an answer the graph makes the keys and values of the text, in a branch of an
``If``; with the next ones it is given them. Each weight is in the file once.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir
from onnx_ir.convenience import rename_values, replace_all_uses_with

from compress.generation import BRANCH, HIDDEN, PAST, PRESENT

_CROSS = "cross_attention"
_LENGTH, _GIVEN_LENGTH = "encoder_sequence_length", "past_encoder_sequence_length"


def merged(decoder: onnx_ir.Model, cross: onnx_ir.Model) -> onnx_ir.Model:
    """``decoder``, changed in place: it takes ``encoder_hidden_states`` and ``use_cache_branch``
    too, and returns the keys and values of the text too. ``cross`` becomes a part of it."""
    graph = decoder.graph
    past = _inputs_for(cross.graph.outputs, graph)
    hidden = _detached(cross.graph)
    branch = _bool(BRANCH)
    choice = onnx_ir.node("If", [branch], num_outputs=len(past), name=_CROSS)
    for value, made in zip(past, choice.outputs, strict=True):
        made.name = PRESENT + str(value.name).removeprefix(PAST)
        made.shape, made.type = value.shape, value.type
    replace_all_uses_with(past, choice.outputs)
    # Axes of one name have one size in ONNX, and what is given is empty with the first token.
    _rename_axis(past, _LENGTH, _GIVEN_LENGTH)
    parts = {"then_branch": _handing_on(past), "else_branch": cross.graph}
    for name, part in parts.items():
        choice.attributes.add(onnx_ir.AttrGraph(name, part))
    graph.insert_before(graph[0], choice)
    graph.inputs.extend([hidden, branch])
    graph.outputs.extend(choice.outputs)
    return decoder


def parted(whole: onnx_ir.Model) -> tuple[onnx_ir.Model, onnx_ir.Model]:
    """The decoder and the cross part that ``whole`` was made of. The decoder is ``whole`` itself,
    changed in place."""
    graph = whole.graph
    (choice,) = (node for node in graph if node.name == _CROSS)
    past = _inputs_for(choice.outputs, graph)
    _rename_axis(past, _GIVEN_LENGTH, _LENGTH)
    names = [value.name for value in choice.outputs]
    graph.outputs[:] = [value for value in graph.outputs if value.name not in names]
    replace_all_uses_with(choice.outputs, past)
    part = choice.attributes["else_branch"].as_graph()
    graph.remove(choice, safe=True)
    hidden, _ = (value for value in graph.inputs if value.name in (HIDDEN, BRANCH))
    graph.inputs[:] = [value for value in graph.inputs if value.name not in (HIDDEN, BRANCH)]
    part.inputs.append(hidden)
    for value, name in zip(part.outputs, names, strict=True):
        value.name = name
    part.opset_imports.update(graph.opset_imports)
    return whole, onnx_ir.Model(part, ir_version=whole.ir_version)


def _inputs_for(made: Sequence[onnx_ir.Value], graph: onnx_ir.Graph) -> list[onnx_ir.Value]:
    """The inputs of ``graph`` that take what is returned as ``made``, in this order."""
    inputs = {value.name: value for value in graph.inputs}
    return [inputs[PAST + str(value.name).removeprefix(PRESENT)] for value in made]


def _detached(graph: onnx_ir.Graph) -> onnx_ir.Value:
    """The one input of ``graph``, taken away from it: a value of the graph that will be around it.
    All values of ``graph`` get names that the other does not have."""
    (hidden,) = graph.inputs
    graph.inputs.clear()
    values = [*graph.initializers.values()]
    for node in graph:
        node.name = f"{_CROSS}.{node.name}"
        values += node.outputs
    rename_values(values, [f"{_CROSS}.{value.name}" for value in values])
    return hidden


def _bool(name: str) -> onnx_ir.Value:
    kind = onnx_ir.TensorType(onnx_ir.DataType.BOOL)
    return onnx_ir.Value(name=name, shape=onnx_ir.Shape([1]), type=kind)


def _handing_on(past: Sequence[onnx_ir.Value]) -> onnx_ir.Graph:
    """A graph that returns values of the graph around it."""
    nodes = [onnx_ir.node("Identity", [value]) for value in past]
    for value, node in zip(past, nodes, strict=True):
        (made,) = node.outputs
        made.name, made.shape, made.type = f"{_CROSS}.{value.name}", value.shape, value.type
    return onnx_ir.Graph([], [node.outputs[0] for node in nodes], nodes=nodes, name="given")


def _rename_axis(values: Sequence[onnx_ir.Value], old: str, new: str) -> None:
    for value in values:
        assert value.shape is not None
        sizes = [new if str(size) == old else size for size in value.shape]
        value.shape = onnx_ir.Shape(sizes)
