"""Finding plugins and answering what they registered. One bad plugin is one line of complaint; the
others go on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from compress.engine import Engine
from compress.errors import EnvironmentFailure, name_and_first_line, suggestion, with_hint
from compress.registry import hookspecs

GROUP = "compress"
KINDS = ("stages", "tasks", "sources", "architectures", "engines", "meters", "trackers")


@dataclass(frozen=True)
class Registered:
    """A registered class and the distribution it comes from."""

    name: str
    cls: Any
    distribution: str
    version: str

    @property
    def origin(self) -> str:
        """``distribution version``, for messages and keys."""
        return f"{self.distribution} {self.version}"


@dataclass
class Registry:
    """What the installed plugins registered, by kind and name; ``problems`` are lines for the user;
    ``clashes`` are names that two distributions claim, which nobody may use."""

    stages: dict[str, Registered] = field(default_factory=dict)
    tasks: dict[str, Registered] = field(default_factory=dict)
    sources: dict[str, Registered] = field(default_factory=dict)
    architectures: dict[str, Registered] = field(default_factory=dict)
    engines: dict[str, Registered] = field(default_factory=dict)
    meters: dict[str, Registered] = field(default_factory=dict)
    trackers: dict[str, Registered] = field(default_factory=dict)
    plugins: list[tuple[str, str, str]] = field(default_factory=list)
    """(entry point, distribution, version) of each loaded plugin."""
    problems: list[str] = field(default_factory=list)
    clashes: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, Registered]:
        """The registered things of one of ``KINDS``."""
        table: dict[str, Registered] = getattr(self, kind)
        return table

    def origins(self, kind: str) -> dict[str, str]:
        """Distribution and version of each registered thing of one of ``KINDS``, by name."""
        return {name: entry.origin for name, entry in sorted(self.of(kind).items())}

    def task_named(self, word: str) -> Registered | None:
        """The task whose name or synonym is ``word``."""
        for entry in self.tasks.values():
            if word == entry.name or word in entry.cls.synonyms:
                return entry
        return None


def engine_for(registry: Registry, artifact_format: str) -> Engine:
    """The engine that opens a format. Raises EnvironmentFailure where no installed plugin brings
    one."""
    for entry in registry.engines.values():
        if artifact_format in entry.cls.formats:
            engine: Engine = entry.cls()
            return engine
    raise EnvironmentFailure(f"no installed engine opens {artifact_format} models")


@contextmanager
def naming_what_is_missing(name: str, extra: str | None) -> Iterator[None]:
    """Turn a package that the plugin ``name`` cannot import into an EnvironmentFailure that names
    the toolkit's extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        hint = f": install compress-toolkit[{extra}]" if extra else ""
        raise EnvironmentFailure(f"{name} needs the package {error.name!r}{hint}") from error


def load_plugins(
    points: Iterable[EntryPoint] | None = None, environ: Mapping[str, str] = os.environ
) -> Registry:
    """A registry of everything that the installed entry points of group ``compress`` contribute.

    ``COMPRESS_DISABLE_PLUGINS`` (comma-separated entry point names) leaves some out."""
    registry = Registry()
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    disabled = {name.strip() for name in environ.get("COMPRESS_DISABLE_PLUGINS", "").split(",")}
    found = list(entry_points(group=GROUP) if points is None else points)
    for point in sorted(set(found), key=lambda p: (p.name, _distribution(p))):
        if point.name not in disabled:
            _load_one(manager, point, registry)
    return registry


def _load_one(manager: pluggy.PluginManager, point: EntryPoint, registry: Registry) -> None:
    distribution, version = _distribution(point)
    where = f"plugin {point.name!r} of {distribution} {version}"
    plugin = _guarded(lambda: point.load(), f"{where} cannot be imported", registry)
    if plugin is None or not _known_hooks(manager, plugin, where, registry):
        return
    if manager.is_registered(plugin):
        registry.problems.append(f"{where} is installed twice")
        return
    unique = f"{distribution}:{point.name}"
    if (
        _guarded(lambda: manager.register(plugin, name=unique), f"{where} is refused", registry)
        is None
    ):
        return
    registry.plugins.append((point.name, distribution, version))
    for kind in KINDS:
        hook = getattr(plugin, f"compress_{kind}", None)
        if hook is None or manager.parse_hookimpl_opts(plugin, f"compress_{kind}") is None:
            continue
        entries = partial(_entries, hook, distribution, version)
        for entry in _guarded(entries, f"{where}: compress_{kind} failed", registry) or ():
            _register(registry, kind, entry)


def _entries(
    hook: Callable[[], Iterable[Any]], distribution: str, version: str
) -> list[Registered]:
    return [Registered(cls.name, cls, distribution, version) for cls in hook()]


def _register(registry: Registry, kind: str, entry: Registered) -> None:
    table = registry.of(kind)
    if (kind, entry.name) in registry.clashes or entry.name in table:
        first = table.pop(entry.name, None)
        owner = f"{first.origin} and {entry.origin}" if first else entry.origin
        message = (
            f"{kind[:-1]} {entry.name!r} is registered by {owner}; uninstall or disable one of them"
        )
        registry.clashes[(kind, entry.name)] = message
        registry.problems.append(message)
        return
    table[entry.name] = entry


def _known_hooks(
    manager: pluggy.PluginManager, plugin: Any, where: str, registry: Registry
) -> bool:
    known = [name for name in dir(hookspecs) if name.startswith("compress_")]
    unknown = [
        name
        for name in dir(plugin)
        if name not in known and manager.parse_hookimpl_opts(plugin, name) is not None
    ]
    for name in unknown:
        hint = suggestion(name, known)
        registry.problems.append(with_hint(f"{where}: there is no hook {name!r}", hint))
    return not unknown


def _guarded(call: Callable[[], Any], complaint: str, registry: Registry) -> Any:
    """The call's result; a plugin's failure, whatever it is, becomes one line, for one plugin must
    not stop the others."""
    try:
        return call()
    except Exception as error:
        registry.problems.append(f"{complaint}: {name_and_first_line(error)}")
        return None


def _distribution(point: EntryPoint) -> tuple[str, str]:
    if point.dist is None:
        return "unknown distribution", "0"
    return point.dist.name, point.dist.version
