"""Reading the ``model`` section of a fresh model, its type and the keys of its config, and what
steps say of one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from compress.errors import suggestion
from compress.options import FreshMark, Options, fields_marked
from compress.planning.choices import Resolver
from compress.recipes.recipe import StepText
from compress.stage import Stage

_TYPE, _LAYERS = "type", "num_hidden_layers"


def check_fresh(config: Mapping[str, Any], resolver: Resolver) -> None:
    """Add the mistakes of a type that neither transformers nor a plugin's architecture knows, or of
    keys that its config does not have.

    transformers takes any key and ignores those that mean nothing to it. Keys of a family of which
    nothing is known are not checked."""
    kind, types = config[_TYPE], resolver.families.model_types()
    plugins = {
        t for entry in resolver.registry.architectures.values() for t in entry.cls.model_types
    }
    if types and kind not in types | plugins:
        resolver.wrong(
            ("model", _TYPE),
            f"type: there is no model type {kind!r}",
            suggestion(kind, types | plugins),
        )
        return
    for key in config:
        if not _is_finite(config[key]):
            resolver.wrong(
                ("model", key), f"{key}: got {config[key]}: expected numbers that are finite"
            )
    family = resolver.families.family_of(kind)
    depth = family.renamed.get(_LAYERS, _LAYERS) if family else ""
    for key in config if family else ():
        if (
            family
            and family.renamed.get(key, key) == depth
            and isinstance(config[key], int)
            and config[key] < 1
        ):
            resolver.wrong(
                ("model", key), f"{key}: got {config[key]}: a model has one layer at least"
            )
        if family and key != _TYPE and not family.knows(key):
            resolver.wrong(
                ("model", key),
                f"a {kind} model has no {key!r}",
                suggestion(key, family.keys),
                of_value=False,
            )


def _is_finite(value: Any) -> bool:
    """Whether all numbers of a value are, which no key could be made of otherwise."""
    if isinstance(value, dict | list):
        return all(map(_is_finite, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)


def check_configured(
    config: Mapping[str, Any], stage: type[Stage[Any]], resolver: Resolver
) -> None:
    """Add a mistake for each key that ``stage``, which makes the fresh model, sets itself: the
    recipe's would be lost."""
    family = resolver.families.family_of(config[_TYPE])
    renamed = family.renamed if family else {}
    for key in config:
        if by := stage.configures.get(renamed.get(key, key)):
            resolver.wrong(
                ("model", key),
                f"{key}: {stage.name!r} sets it, by {by}",
                "leave it out",
                of_value=False,
            )


def check_of_fresh(text: StepText, options: Options, parent: str, resolver: Resolver) -> None:
    """Add a mistake for each option that is given and is for a fresh model, while the step starts
    from ``parent``."""
    for option in fields_marked(type(options), FreshMark):
        if option in options.model_fields_set:
            resolver.wrong(
                (*text.path, text.stage, option),
                f"{option} is for a fresh model, and {text.name!r} starts from {parent!r}",
                "leave it out",
                of_value=False,
            )
