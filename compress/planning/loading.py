"""The plan of a recipe that is named on the command line or in Python."""

from __future__ import annotations

from collections.abc import Sequence

from compress.planning.build import make_plan
from compress.planning.types import Plan
from compress.pretrained.families import Families
from compress.recipes.recipe import read_recipe
from compress.recipes.shipped import find_recipe
from compress.registry.plugins import Registry


def load_plan(
    recipe: str, overrides: Sequence[str], registry: Registry, families: Families
) -> Plan:
    """The plan of a recipe file or shipped recipe with ``a.b=c`` overrides. Raises UsageError."""
    return make_plan(read_recipe(find_recipe(recipe), overrides), registry, families)
