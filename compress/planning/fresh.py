"""Checks of a fresh model: its type, the keys of its config, and the steps that start from it."""

from __future__ import annotations

import math
from typing import Any

from compress.errors import suggestion
from compress.options import FreshMark, Options, fields_marked
from compress.planning.resolver import Resolver
from compress.pretrained.families import Family
from compress.recipes.places import Section
from compress.recipes.steps import StepText
from compress.stage import Stage

_TYPE, _LAYERS = "type", "num_hidden_layers"


def check_fresh(config: Section, resolver: Resolver) -> None:
    """Add a mistake for a type that neither transformers nor a plugin's architecture knows, and for
    each key that the type's config does not have or cannot hold.

    transformers accepts any key and ignores those that mean nothing to it. The keys of a family
    that is not known are not checked."""
    if not _is_known_type(config[_TYPE], resolver):
        return
    for key, value in config.items():
        if not _is_finite(value):
            message = f"{key}: got {value}: expected numbers that are finite"
            resolver.wrong(("model", key), message)
    family = resolver.families.family_of(config[_TYPE])
    if family is not None:
        for key, value in config.items():
            _check_key(key, value, config[_TYPE], family, resolver)


def _is_known_type(kind: str, resolver: Resolver) -> bool:
    """Whether a model type is known, or cannot be checked; otherwise a mistake is added."""
    types = set(resolver.families.model_types())
    if not types:
        return True
    for entry in resolver.registry.architectures.values():
        types.update(entry.cls.model_types)
    if kind in types:
        return True
    message, hint = f"type: there is no model type {kind!r}", suggestion(kind, types)
    resolver.wrong(("model", _TYPE), message, hint)
    return False


def _check_key(key: str, value: Any, kind: str, family: Family, resolver: Resolver) -> None:
    depth = family.renamed.get(_LAYERS, _LAYERS)
    if family.renamed.get(key, key) == depth and isinstance(value, int) and value < 1:
        resolver.wrong(("model", key), f"{key}: got {value}: a model has one layer at least")
    if key != _TYPE and not family.knows(key):
        message, hint = f"a {kind} model has no {key!r}", suggestion(key, family.keys)
        resolver.wrong(("model", key), message, hint, of_value=False)


def _is_finite(value: Any) -> bool:
    """Whether all numbers in a value are finite. No product key could be made of others."""
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def check_configured(config: Section, stage: type[Stage[Any]], resolver: Resolver) -> None:
    """Add a mistake for each key that ``stage``, which makes the fresh model, sets itself: the
    recipe's would be lost."""
    family = resolver.families.family_of(config[_TYPE])
    renamed = family.renamed if family else {}
    for key in config:
        setter = stage.configures.get(renamed.get(key, key))
        if setter:
            message = f"{key}: {stage.name!r} sets it, by {setter}"
            resolver.wrong(("model", key), message, "leave it out", of_value=False)


def check_of_fresh(text: StepText, options: Options, parent: str, resolver: Resolver) -> None:
    """Add a mistake for each given option that is for a fresh model: the step starts from
    ``parent``."""
    for option in fields_marked(type(options), FreshMark):
        if option in options.model_fields_set:
            message = f"{option} is for a fresh model, and {text.name!r} starts from {parent!r}"
            path = (*text.stage_path, option)
            resolver.wrong(path, message, "leave it out", of_value=False)
