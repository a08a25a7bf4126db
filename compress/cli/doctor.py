"""``compress doctor``: this machine, its engines, and packages below the versions that are safe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.version import Version
from rich.console import Console

from compress.engine import Engine
from compress.machine import Environment, ask_nvidia_driver, environment, versions
from compress.registry.plugins import Registered, load_plugins
from compress.report.views.plain import print_lines


@dataclass(frozen=True)
class Floor:
    """The first version without a known way to run code from a model or data file, and that way."""

    version: str
    danger: str


FLOORS = {
    "transformers": Floor("5.10", "code execution through config files"),
    "torch": Floor("2.10", "unsafe weights_only loads"),
    "onnx": Floor("1.21", "path traversal in external data"),
    "datasets": Floor("4.0", "loading scripts"),
    "jinja2": Floor("3.1.6", "sandbox escape in chat templates"),
}


@dataclass(frozen=True)
class EngineState:
    """The formats of an engine, and its packages: versions of those that are installed, and those
    that are missing."""

    formats: Sequence[str]
    packages: Mapping[str, str]
    missing: Sequence[str]


@dataclass(frozen=True)
class Examination:
    """This machine, its GPUs, the engines by name, plugins that did not load, and packages below a
    floor."""

    environment: Environment
    gpus: Sequence[str]
    engines: Mapping[str, EngineState]
    problems: Sequence[str]
    below_floor: Sequence[str]


def examine() -> Examination:
    """The state of this machine."""
    registry = load_plugins()
    return Examination(
        environment(),
        _gpus(),
        {name: _engine_state(entry) for name, entry in sorted(registry.engines.items())},
        registry.problems,
        _below_floor(),
    )


def _gpus() -> list[str]:
    """Name, memory and driver of each NVIDIA GPU; empty where there is no driver."""
    listed = ask_nvidia_driver("name", "memory.total", "driver_version") or []
    return [", ".join(values) for values in listed]


def _engine_state(entry: Registered[Engine]) -> EngineState:
    installed = versions(entry.cls.packages)
    missing = [package for package in entry.cls.packages if package not in installed]
    return EngineState(list(entry.cls.formats), installed, missing)


def _below_floor() -> list[str]:
    return [
        f"{name} {installed} is below {FLOORS[name].version}: {FLOORS[name].danger}"
        for name, installed in versions(FLOORS).items()
        if Version(installed) < Version(FLOORS[name].version)
    ]


def print_examination(examination: Examination, console: Console) -> None:
    """Print an examination for a reader."""
    print_lines(_lines(examination), console)


def _lines(examination: Examination) -> Iterator[str]:
    env = examination.environment
    features = ", ".join(env["features"]) or "no known features"
    yield f"{env['processor']}: {env['threads']} threads, {features}"
    memory = f"{env['memory_bytes'] / 1e9:.1f} GB"
    yield f"memory {memory}; {env['system']}; Python {env['python']}"
    yield f"GPU: {'; '.join(examination.gpus) or 'none'}"
    yield "versions:"
    for name, version in env["versions"].items():
        yield f"  {name} {version}"
    for name, engine in examination.engines.items():
        state = f"missing {', '.join(engine.missing)}" if engine.missing else "ready"
        yield f"engine {name}, for {' and '.join(engine.formats)} models: {state}"
    warnings = (*examination.problems, *examination.below_floor)
    for line in warnings:
        yield f"warning: {line}"
    if not warnings:
        yield "no plugin failed to load and no package is below its safe floor"
