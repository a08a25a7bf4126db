"""Reading the ``model`` section: a model from outside, or the configuration of a fresh one. Options
of stages that configure a fresh model are checked in the same way."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

from compress.errors import suggestion
from compress.planning.graph import Graph
from compress.planning.resolver import Resolver
from compress.planning.sections.outside import read_outside_model
from compress.planning.sections.task import tasks_of_recipe
from compress.planning.types import MODEL
from compress.pretrained.families import Family
from compress.recipes.places import KeyPath, Section

_TYPE, _LAYERS = "type", "num_hidden_layers"


def read_model(value: Any, graph: Graph, resolver: Resolver) -> None:
    """Add the recipe's model to the graph, or a mistake."""
    if isinstance(value, dict):
        _read_fresh(value, graph, resolver)
        return
    model = None
    if isinstance(value, str):
        model = read_outside_model(value, MODEL, ("model",), tasks_of_recipe(resolver), resolver)
    else:
        message = "the recipe has no model" if value is None else f"model: got {value!r}"
        hint = "a hub id, a folder, or a fresh model: {type: bert, ...}"
        resolver.wrong(("model",), message, hint)
    if model is not None:
        graph.inputs[MODEL] = model
    else:
        graph.broken.add(MODEL)


def _read_fresh(value: Section, graph: Graph, resolver: Resolver) -> None:
    if isinstance(value.get(_TYPE), str):
        graph.fresh = dict(value)
        check_fresh(value, ("model",), resolver)
        return
    hint = "model: {type: bert, hidden_size: 256}"
    resolver.wrong(("model",), "a fresh model needs its type", hint)
    graph.broken.add(MODEL)


def check_fresh(config: Section, path: KeyPath, resolver: Resolver) -> None:
    """Add a mistake for a type that neither transformers nor a plugin's architecture knows, and for
    each key that the type's config does not have or cannot hold. The configuration stands at
    ``path``.

    transformers itself accepts any key and ignores those that mean nothing to it. Where a family is
    not known, its keys are not checked."""
    if not _is_known_type(config[_TYPE], path, resolver):
        return
    for key, value in config.items():
        if not _is_finite(value):
            message = f"{key}: got {value}: expected numbers that are finite"
            resolver.wrong((*path, key), message)
    family = resolver.families.family_of(config[_TYPE])
    if family is not None:
        for key, value in config.items():
            _check_key(key, value, path, config[_TYPE], family, resolver)


def _is_known_type(kind: str, path: KeyPath, resolver: Resolver) -> bool:
    """Whether a model type is known; True too where transformers could not be asked. A mistake is
    added for an unknown type."""
    described = [entry.cls.model_types for entry in resolver.registry.architectures.values()]
    types = set(chain.from_iterable(described))
    if kind in types or not resolver.families.model_types():
        return True
    types.update(resolver.families.model_types())
    if kind in types:
        return True
    message, hint = f"type: there is no model type {kind!r}", suggestion(kind, types)
    resolver.wrong((*path, _TYPE), message, hint)
    return False


def _check_key(
    key: str, value: Any, path: KeyPath, kind: str, family: Family, resolver: Resolver
) -> None:
    """Add a mistake for a key that the family does not have, and for a model without layers."""
    depth = family.renamed.get(_LAYERS, _LAYERS)
    if family.renamed.get(key, key) == depth and isinstance(value, int) and value < 1:
        resolver.wrong((*path, key), f"{key}: got {value}: a model has one layer at least")
    if key != _TYPE and not family.knows(key):
        message, hint = f"a {kind} model has no {key!r}", suggestion(key, family.keys)
        resolver.wrong((*path, key), message, hint, of_value=False)


def _is_finite(value: Any) -> bool:
    """Whether all numbers in a value are finite. A product's key is made from JSON, which has no
    others."""
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
