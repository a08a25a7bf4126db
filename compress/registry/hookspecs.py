"""The hooks. A plugin implements them with ``compress.hookimpl``; each returns the classes
to register."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pluggy

from compress.architecture import Architecture
from compress.command import Command
from compress.engine import Engine
from compress.meter import Meter
from compress.source import Source
from compress.stage import Stage
from compress.task import Task
from compress.tracker import Tracker
from compress.view import View

PROJECT = "compress"
hookspec = pluggy.HookspecMarker(PROJECT)


@hookspec
def compress_stages() -> Sequence[type[Stage[Any]]]:
    """Stages to register. Called once, when plugins are loaded."""
    raise NotImplementedError


@hookspec
def compress_tasks() -> Sequence[type[Task[Any]]]:
    """Tasks to register. Called once, when plugins are loaded."""
    raise NotImplementedError


@hookspec
def compress_sources() -> Sequence[type[Source[Any]]]:
    """Sources to register. Called once, when plugins are loaded."""
    raise NotImplementedError


@hookspec
def compress_architectures() -> Sequence[type[Architecture]]:
    """Architectures to register. Called once, when plugins are loaded."""
    raise NotImplementedError


@hookspec
def compress_engines() -> Sequence[type[Engine]]:
    """Engines to register. Called once, when plugins are loaded."""
    raise NotImplementedError


@hookspec
def compress_meters() -> Sequence[type[Meter]]:
    """Meters to register. Called once, when plugins are loaded."""
    raise NotImplementedError


@hookspec
def compress_trackers() -> Sequence[type[Tracker]]:
    """Trackers to register. Called once, when plugins are loaded."""
    raise NotImplementedError


@hookspec
def compress_commands() -> Sequence[type[Command]]:
    """Commands to register. Called once, when plugins are loaded."""
    raise NotImplementedError


@hookspec
def compress_views() -> Sequence[type[View]]:
    """Sections of a report to register. Called once, when plugins are loaded."""
    raise NotImplementedError
