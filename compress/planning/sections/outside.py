"""Models from outside that a recipe names: folders and models of the hub."""

from __future__ import annotations

from pathlib import Path

from compress.errors import CompressError
from compress.planning.resolver import Resolver
from compress.planning.types import Input
from compress.pretrained.modelfolder import folder_traits, is_hub_id
from compress.recipes.places import KeyPath


def read_outside_model(
    value: str, name: str, path: KeyPath, tasks: tuple[str, ...], resolver: Resolver
) -> Input | None:
    """The folder or hub model that ``value`` names; None with a mistake added. ``tasks`` are those
    that the recipe may use its head for."""
    try:
        folder = _folder(value, path, resolver)
    except ValueError as error:
        resolver.wrong(path, str(error), "a hub id, or a folder")
        return None
    place = str(resolver.recipe.place(*path, of_value=True))
    if not folder.is_dir():
        if is_hub_id(value):
            return Input(name, value, True, None, place, tasks)
        hint = f"looked in {folder.parent.resolve()}"
        resolver.wrong(path, f"there is no model folder {value!r}", hint)
        return None
    try:
        traits = folder_traits(folder.resolve(), resolver.registry, tasks)
    except CompressError as error:
        resolver.wrong(path, str(error))
        return None
    return Input(name, str(folder.resolve()), False, traits, place, tasks)


def is_folder(value: str, path: KeyPath, resolver: Resolver) -> bool:
    """Whether ``value``, which stands at ``path``, names a folder."""
    try:
        return _folder(value, path, resolver).is_dir()
    except ValueError:
        return False


def _folder(value: str, path: KeyPath, resolver: Resolver) -> Path:
    return resolver.recipe.path_of(value, resolver.recipe.place(*path, of_value=True))
