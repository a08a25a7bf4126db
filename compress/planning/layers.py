"""How many layers a model has, as far as a plan can know."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress.errors import UsageError
from compress.planning.types import Input
from compress.pretrained.families import Families
from compress.pretrained.modelfolder import read_config
from compress.registry.plugins import Registry
from compress.sizes import architecture_of


def layers_of_input(model: Input, registry: Registry, families: Families) -> int | None:
    """Those of a model folder; None for a hub model, and where its config does not say."""
    if model.from_hub:
        return None
    try:
        return layers_of(read_config(Path(model.source)), registry, families)
    except UsageError:  # a folder of another format may have no config
        return None


def layers_of(config: Mapping[str, Any], registry: Registry, families: Families) -> int | None:
    """Those that the entries of a config state, or leave to its family; None for a family that no
    architecture describes."""
    kind = config.get("model_type")
    try:
        architecture = architecture_of(
            str(kind), [entry.cls for entry in registry.architectures.values()]
        )
    except UsageError:  # two describe it: whoever cuts the model says so
        return None
    if architecture is None or architecture.layout is None:
        return None
    key = architecture.sizes.get("layers", "num_hidden_layers")
    value = config[key] if key in config else _left_to_family(config, key, families)
    return value if isinstance(value, int) and value > 0 else None


def _left_to_family(config: Mapping[str, Any], key: str, families: Families) -> object:
    """What a family makes of a config without ``key``; None where the family is not known."""
    family = families.family_of(str(config.get("model_type")))
    return family.value(config, key) if family else None
