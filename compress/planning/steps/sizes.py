"""The family of a model and its sizes, as far as a plan can know."""

from __future__ import annotations

from pathlib import Path

from compress.architecture import KnownSizes
from compress.artifact import Traits
from compress.errors import UsageError
from compress.planning.types import Input
from compress.pretrained.configs import read_config
from compress.pretrained.families import Families
from compress.recipes.places import Section
from compress.registry.plugins import Registry
from compress.sizes import architecture_of


def sizes_of_input(model: Input, registry: Registry, families: Families) -> KnownSizes | None:
    """The sizes of a model folder; None for a hub model, and for a folder without a config."""
    config = _config_of(model)
    return None if config is None else known_sizes(config, model.traits, registry, families)


def model_type_of_input(model: Input) -> str | None:
    """The model type of a model folder; None for a hub model, and if its config does not say."""
    kind = (_config_of(model) or {}).get("model_type")
    return kind if isinstance(kind, str) else None


def _config_of(model: Input) -> Section | None:
    """The config of a model folder; None for a hub model, and for a folder without one."""
    if model.from_hub:
        return None
    try:
        return read_config(Path(model.source))
    except UsageError:  # a folder of another format may have no config
        return None


def known_sizes(
    config: Section, traits: Traits | None, registry: Registry, families: Families
) -> KnownSizes | None:
    """The sizes that a config states, or that its family has by default; None for a family whose
    parts no architecture describes. ``traits`` are those of the model's artifact, None for a fresh
    model.

    Of a free shape the config has another width. The vocabulary of a fresh model follows from its
    tokenizer."""
    kind = config.get("model_type")
    try:
        architecture = architecture_of(
            str(kind), [entry.cls for entry in registry.architectures.values()]
        )
    except UsageError:  # two describe it: the stage that cuts the model reports that
        return None
    if architecture is None or architecture.layout is None:
        return None
    common = architecture.sizes.get("layers", "num_hidden_layers")
    layers = {
        stack.name: _count(config, stack.keys.get("layers", common), families)
        for stack in architecture.layout.stacks
    }

    def size(name: str) -> int | None:
        key = architecture.sizes.get(name)
        if not key or (traits and key not in config):  # a saved config states these
            return None
        return _count(config, key, families)

    is_stock = traits is None or traits.shape == "stock"
    return KnownSizes(
        layers,
        hidden=size("hidden") if is_stock else None,
        vocabulary=size("vocabulary") if traits else None,
    )


def _count(config: Section, key: str, families: Families) -> int | None:
    value = config[key] if key in config else _family_value(config, key, families)
    return value if isinstance(value, int) and value > 0 else None


def _family_value(config: Section, key: str, families: Families) -> object:
    """The value that a family gives ``key`` in a config without it; None if the family is not
    known."""
    family = families.family_of(str(config.get("model_type")))
    return family.value(config, key) if family else None
