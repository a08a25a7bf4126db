"""The commands that plugins add. Plugins are asked for them only if some are installed beside the
toolkit's own, which add none: so ``--help`` stays quick."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import click

from compress.cli.deferred import defer

if TYPE_CHECKING:
    from compress.command import Command
    from compress.registry.plugins import Registered

_TOOLKIT = "compress-toolkit"


def summaries() -> list[tuple[str, str]]:
    """Name and summary of each command of a plugin."""
    if not _are_added():
        return []
    defer("numpy")
    from compress.registry.plugins import load_plugins

    commands = load_plugins(added_only=True).commands
    return [(name, entry.cls.summary) for name, entry in sorted(commands.items())]


def find_command(name: str) -> click.Command | None:
    """The command of a plugin; None if no plugin has it. Warns of what is wrong with plugins if it
    is not found, and raises UsageError for a command whose function cannot be imported."""
    if not _are_added():
        return None
    from compress.cli.show import complain_of
    from compress.registry.plugins import load_plugins

    registry = load_plugins(added_only=True)
    entry = registry.commands.get(name)
    if entry is None:
        complain_of(registry.problems)
        return None
    return _imported(entry)


def _are_added() -> bool:
    """Whether plugins of other distributions are installed."""
    # One question for each distribution, which parses its metadata to answer.
    distributions = {id(point.dist): point.dist for point in entry_points(group="compress")}
    return any(dist is None or dist.name != _TOOLKIT for dist in distributions.values())


def _imported(entry: Registered[Command]) -> click.Command:
    from importlib import import_module

    from compress.errors import UsageError, name_and_first_line

    place = entry.cls.function
    module, _, name = place.partition(":")
    try:
        found = getattr(import_module(module), name)
    except Exception as error:  # a plugin's module may raise anything
        raise UsageError(
            f"the command {entry.called} cannot be called: compress_commands names {place}: "
            f"{name_and_first_line(error)}"
        ) from error
    if not isinstance(found, click.Command):
        raise UsageError(
            f"the command {entry.called} cannot be called: {place} is no click.Command: give the "
            "function the decorator click.command()"
        )
    return found
