"""The kinds of classes that plugins register, each with the contract that its classes derive
from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from compress.architecture import Architecture
from compress.command import Command
from compress.engine import Engine
from compress.meter import Meter
from compress.source import Source
from compress.stage import Stage
from compress.task import Task
from compress.tracker import Tracker
from compress.view import View

Kind = Literal[
    "stages",
    "tasks",
    "sources",
    "architectures",
    "engines",
    "meters",
    "trackers",
    "commands",
    "views",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

CONTRACTS: Mapping[Kind, type] = {
    "stages": Stage,
    "tasks": Task,
    "sources": Source,
    "architectures": Architecture,
    "engines": Engine,
    "meters": Meter,
    "trackers": Tracker,
    "commands": Command,
    "views": View,
}


def hook_of(kind: Kind) -> str:
    """The name of the hook that returns classes of a kind."""
    return f"compress_{kind}"
