"""Toy models whose file states what would be measured of them: quality, latency, size and more.

With them a test of budgets and findings chooses every number, and a run takes no time."""

from __future__ import annotations

from typing import Any

from compress import hookimpl
from compress.architecture import Architecture
from compress.engine import Engine
from compress.meter import Meter
from compress.stage import Stage
from compress_stated.measuring import Family, Silent, Stated
from compress_stated.stages import After, Cut, Make, Set


@hookimpl
def compress_architectures() -> list[type[Architecture]]:
    """The family ``toy``."""
    return [Family]


@hookimpl
def compress_stages() -> list[type[Stage[Any]]]:
    """The stages ``toy.make``, ``toy.set``, ``toy.cut`` and ``toy.after``."""
    return [Make, Set, Cut, After]


@hookimpl
def compress_engines() -> list[type[Engine]]:
    """The engine ``toy``."""
    return [Silent]


@hookimpl
def compress_meters() -> list[type[Meter]]:
    """The meter ``stated``."""
    return [Stated]
