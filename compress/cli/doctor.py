"""``compress doctor``: this machine, its engines, and packages below the versions that are safe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click
from packaging.version import Version

from compress.engine import Engine
from compress.machine import Environment, ask_nvidia_driver, environment, versions
from compress.registry.plugins import Registered, load_plugins


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


def print_examination(examination: Examination) -> None:
    """Print an examination for a reader."""
    env = examination.environment
    features = ", ".join(env["features"]) or "no known features"
    click.echo(f"{env['processor']}: {env['threads']} threads, {features}")
    memory = f"{env['memory_bytes'] / 1e9:.1f} GB"
    click.echo(f"memory {memory}; {env['system']}; Python {env['python']}")
    click.echo("GPU: " + ("; ".join(examination.gpus) or "none"))
    click.echo("versions:")
    for name, version in env["versions"].items():
        click.echo(f"  {name} {version}")
    for name, engine in examination.engines.items():
        state = f"missing {', '.join(engine.missing)}" if engine.missing else "ready"
        click.echo(f"engine {name}, for {' and '.join(engine.formats)} models: {state}")
    for line in (*examination.problems, *examination.below_floor):
        click.echo(f"warning: {line}")
    if not examination.problems and not examination.below_floor:
        click.echo("no plugin failed to load and no package is below its safe floor")
