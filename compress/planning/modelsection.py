"""Reading the ``model`` section: a model from outside, or the configuration of a fresh one."""

from __future__ import annotations

from typing import Any

from compress.planning.fresh import check_fresh
from compress.planning.graph import Graph
from compress.planning.outside import read_outside_model
from compress.planning.resolver import Resolver
from compress.planning.types import MODEL
from compress.recipes.places import Section


def read_model(value: Any, graph: Graph, resolver: Resolver) -> None:
    """Add the recipe's model to the graph, or a mistake."""
    if isinstance(value, dict):
        _read_fresh(value, graph, resolver)
        return
    model = None
    if isinstance(value, str):
        model = read_outside_model(value, MODEL, ("model",), resolver)
    else:
        message = "the recipe has no model" if value is None else f"model: got {value!r}"
        hint = "a hub id, a folder, or a fresh model: {type: bert, ...}"
        resolver.wrong(("model",), message, hint)
    if model is not None:
        graph.inputs[MODEL] = model
    else:
        graph.broken.add(MODEL)


def _read_fresh(value: Section, graph: Graph, resolver: Resolver) -> None:
    if isinstance(value.get("type"), str):
        graph.fresh = dict(value)
        check_fresh(value, resolver)
        return
    hint = "model: {type: bert, hidden_size: 256}"
    resolver.wrong(("model",), "a fresh model needs its type", hint)
    graph.broken.add(MODEL)
