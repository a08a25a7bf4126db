"""Toy stages that need no torch, so that a run takes a second: for tests of what happens around
stages."""

from __future__ import annotations

from typing import Any

from compress import hookimpl
from compress.engine import Engine
from compress.stage import Stage
from compress_toy.choose import Choose
from compress_toy.nudge import Nudge
from compress_toy.tensors import TensorsEngine


@hookimpl
def compress_stages() -> list[type[Stage[Any]]]:
    """The stages ``toy.nudge`` and ``toy.choose``."""
    return [Nudge, Choose]


@hookimpl
def compress_engines() -> list[type[Engine]]:
    """The engine ``toy.tensors``."""
    return [TensorsEngine]
