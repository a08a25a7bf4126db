"""Commands that a plugin adds to the command line."""

from __future__ import annotations

import re
from typing import ClassVar

CORE_COMMANDS = (
    "run",
    "plan",
    "bench",
    "report",
    "diff",
    "predict",
    "bundle",
    "serve",
    "verify",
    "stages",
    "tasks",
    "recipes",
    "plugins",
    "doctor",
)
"""The core's own commands. A plugin's command has another name."""
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_NAME = re.compile(r"[a-z][a-z0-9-]*")


class Command:
    """A command ``compress NAME``. ``function`` is ``module:name`` of a ``click.Command``, that is
    of a function with the decorator ``click.command()``. The module is imported when the command is
    called, or when its help is asked for.

    What the function returns is the exit code if it is an int; else the code is 0. Errors end it as
    they end the core's own commands: raise ``UsageError`` for a mistake of the user. It works with
    ``compress.plan``, ``compress.run``, ``compress.load`` and ``compress.diff``."""

    name: ClassVar[str]
    summary: ClassVar[str]
    function: ClassVar[str]


def command_mistakes(command: type[Command]) -> list[str]:
    """What is wrong with a command's name or with the place of its function; empty if nothing."""
    mistakes = []
    if not _NAME.fullmatch(command.name):
        mistakes.append(
            f"{command.__name__}.name is {command.name!r}: expected a word such as 'make-card'"
        )
    if command.name in CORE_COMMANDS:
        mistakes.append(f"{command.name!r} is a command of the core: choose another name")
    if not _FUNCTION.fullmatch(command.function):
        mistakes.append(
            f"{command.__name__}.function is {command.function!r}: expected 'module:function'"
        )
    return mistakes
