"""How many layers a model has, as far as a plan can know."""

from __future__ import annotations

from pathlib import Path

from compress.errors import UsageError
from compress.planning.types import Input
from compress.pretrained.families import family_of
from compress.pretrained.modelfolder import read_config
from compress.recipes.places import Section
from compress.registry.plugins import Registry
from compress.sizes import architecture_of


def layers_of_input(model: Input, registry: Registry) -> int | None:
    """The number of layers of a model folder; None for a hub model, and where its config does not say."""
    try:
        return None if model.from_hub else layers_of(read_config(Path(model.source)), registry)
    except UsageError:  # a folder of another format may have no config
        return None


def layers_of(config: Section, registry: Registry) -> int | None:
    """The number of layers that a config states, or that its family has by default; None for a
    family that no architecture describes."""
    kind = config.get("model_type")
    try:
        architecture = architecture_of(
            str(kind), [entry.cls for entry in registry.architectures.values()]
        )
    except UsageError:  # two describe it: the stage that cuts the model reports that
        return None
    if architecture is None or architecture.layout is None:
        return None
    key, family = architecture.sizes.get("layers", "num_hidden_layers"), family_of(str(kind))
    value = family.value(config, key) if family else config.get(key)
    return value if isinstance(value, int) and value > 0 else None
