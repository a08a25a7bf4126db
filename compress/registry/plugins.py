"""Find the installed plugins and look up what they registered.

A plugin that fails becomes one line of ``Registry.problems``. The others are loaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any, Generic, NamedTuple, TypeVar

from compress.architecture import Architecture
from compress.command import Command
from compress.engine import Engine
from compress.errors import (
    EnvironmentFailure,
    Mistake,
    PackageMissing,
    UsageError,
    listed,
    suggestion,
)
from compress.meter import Meter
from compress.registry.hooks import classes_of, guarded, hooks_of
from compress.registry.kinds import KINDS, Kind
from compress.source import Source
from compress.stage import Stage
from compress.task import Task
from compress.tracker import Tracker
from compress.view import View

TOOLKIT = "compress-toolkit"
"""The distribution of the toolkit's own plugins."""
GROUP = "compress"
"""The group of the plugins' entry points."""
_DISABLE = "COMPRESS_DISABLE_PLUGINS"

T = TypeVar("T")


@dataclass(frozen=True)
class Registered(Generic[T]):
    """A registered class and the distribution that it comes from.

    ``T`` is the contract that the class implements, such as ``Stage``."""

    name: str
    cls: type[T]
    distribution: str
    version: str

    @property
    def origin(self) -> str:
        """``distribution version``, for messages and keys."""
        return f"{self.distribution} {self.version}"

    @property
    def called(self) -> str:
        """``name (distribution version)``, for messages about what it did."""
        return f"{self.name} ({self.origin})"

    @property
    def hint_to_install(self) -> str:
        """What to install where a package is missing, for the end of a message; empty if the class
        names no extra."""
        extra = getattr(self.cls, "extra", None)
        return f": install {self.distribution}[{extra}]" if extra else ""


class LoadedPlugin(NamedTuple):
    """The name of a plugin's entry point, and the distribution that it comes from."""

    entry_point: str
    distribution: str
    version: str


@dataclass
class Registry:
    """The classes that the installed plugins registered, by kind and name.

    ``problems`` are lines for the user. ``clashes`` maps (kind, name) to a message: two
    distributions claim the name, so neither may use it."""

    stages: dict[str, Registered[Stage[Any]]] = field(default_factory=dict)
    tasks: dict[str, Registered[Task[Any]]] = field(default_factory=dict)
    sources: dict[str, Registered[Source[Any]]] = field(default_factory=dict)
    architectures: dict[str, Registered[Architecture]] = field(default_factory=dict)
    engines: dict[str, Registered[Engine]] = field(default_factory=dict)
    meters: dict[str, Registered[Meter]] = field(default_factory=dict)
    trackers: dict[str, Registered[Tracker]] = field(default_factory=dict)
    commands: dict[str, Registered[Command]] = field(default_factory=dict)
    views: dict[str, Registered[View]] = field(default_factory=dict)
    plugins: list[LoadedPlugin] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    clashes: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, kind: Kind) -> dict[str, Registered[Any]]:
        """The registered classes of one kind, by name."""
        table: dict[str, Registered[Any]] = getattr(self, kind)
        return table

    def origins(self, kind: Kind) -> dict[str, str]:
        """Distribution and version of each registered class of one kind, by name."""
        return {name: entry.origin for name, entry in sorted(self.of(kind).items())}

    def task_named(self, word: str) -> Registered[Task[Any]] | None:
        """The task whose name or synonym is ``word``; None if there is none."""
        for entry in self.tasks.values():
            if word == entry.name or word in entry.cls.synonyms:
                return entry
        return None


def engine_for(registry: Registry, artifact_format: str) -> Engine:
    """The engine that opens ``artifact_format``. Raises EnvironmentFailure if no
    installed plugin has one."""
    for entry in registry.engines.values():
        if artifact_format in entry.cls.formats:
            return entry.cls()
    raise EnvironmentFailure(f"no installed engine opens {listed([artifact_format])} models")


@contextmanager
def explain_missing_package(entry: Registered[Any]) -> Iterator[None]:
    """Raise PackageMissing for a package that a registered class needs and cannot import; the
    message names the extra of its distribution that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise PackageMissing(
            f"{entry.name} needs the package {error.name!r}{entry.hint_to_install}"
        ) from error


def load_plugins(
    points: Iterable[EntryPoint] | None = None,
    environ: Mapping[str, str] = os.environ,
    *,
    added_only: bool = False,
) -> Registry:
    """A registry of the classes that the entry points of group ``compress`` register.

    ``COMPRESS_DISABLE_PLUGINS`` (comma-separated entry point names) leaves some out. Raises
    UsageError where it names a plugin that is not installed. ``added_only`` leaves out the
    toolkit's own plugins, which add no commands."""
    registry = Registry()
    installed = set(entry_points(group=GROUP) if points is None else points)
    disabled = _disabled(environ, {point.name for point in installed})
    origins = _origins(installed)
    seen: list[Any] = []
    for point in sorted(installed, key=lambda p: (p.name, origins[p])):
        is_added = origins[point][0] != TOOLKIT
        if point.name not in disabled and (is_added or not added_only):
            _load_one(point, origins[point], registry, seen)
    return registry


def _disabled(environ: Mapping[str, str], installed: set[str]) -> set[str]:
    """The names of the plugins that are left out."""
    words = environ.get(_DISABLE, "").split(",")
    names = {word.strip() for word in words} - {""}
    unknown = sorted(names - installed)
    if unknown:
        raise UsageError(
            Mistake(_DISABLE, f"there is no plugin {name!r}", suggestion(name, installed))
            for name in unknown
        )
    return names


def _load_one(
    point: EntryPoint, origin: tuple[str, str], registry: Registry, seen: list[Any]
) -> None:
    """Register what one plugin brings. ``seen`` holds the plugins that were loaded before it."""
    distribution, version = origin
    where = f"plugin {point.name!r} of {distribution} {version}"
    plugin = guarded(point.load, f"{where} cannot be imported", registry.problems)
    if plugin is None:
        return
    if plugin in seen:
        registry.problems.append(f"{where} is installed twice")
        return
    seen.append(plugin)
    registry.plugins.append(LoadedPlugin(point.name, distribution, version))
    hooks = hooks_of(plugin, where, registry.problems)
    for kind in KINDS:
        for cls in classes_of(hooks, kind, where, registry.problems):
            _register(registry, kind, Registered(cls.name, cls, distribution, version))


def _register(registry: Registry, kind: Kind, entry: Registered[Any]) -> None:
    """Add a class to the registry. A name that two classes claim belongs to neither: it is a clash
    from then on."""
    table = registry.of(kind)
    if (kind, entry.name) in registry.clashes or entry.name in table:
        message = _clash(kind, table.pop(entry.name, None), entry)
        registry.clashes[(kind, entry.name)] = message
        registry.problems.append(message)
        return
    table[entry.name] = entry


def _clash(kind: Kind, first: Registered[Any] | None, entry: Registered[Any]) -> str:
    """The line about a name that is claimed twice; ``first`` is None from the third claim on."""
    what = f"{kind[:-1]} {entry.name!r}"
    if first is not None and first.distribution == entry.distribution:
        classes = f"{first.cls.__qualname__} and {entry.cls.__qualname__}"
        return f"{what} is registered twice by {entry.origin}, as {classes}: rename one of them"
    owners = f"{first.origin} and {entry.origin}" if first else entry.origin
    return f"{what} is registered by {owners}; uninstall or disable one of them"


def _origins(points: Iterable[EntryPoint]) -> dict[EntryPoint, tuple[str, str]]:
    """Name and version of the distribution of each entry point.

    A distribution is asked once for all its entry points: it reads and parses its metadata, with
    the whole README in them, at every question."""
    known: dict[int, tuple[str, str]] = {}
    origins = {}
    for point in points:
        if id(point.dist) not in known:
            known[id(point.dist)] = _name_and_version(point.dist)
        origins[point] = known[id(point.dist)]
    return origins


def _name_and_version(distribution: Distribution | None) -> tuple[str, str]:
    if distribution is None:
        return "unknown distribution", "0"
    return distribution.name, distribution.version
