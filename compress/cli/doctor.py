"""``compress doctor``: what this machine has and what is below the floors that are safe."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

import click
from packaging.version import Version

from compress.machine import environment, versions
from compress.registry.plugins import load_plugins

# The first releases without known ways to run code from a model or data file, and the reason.
FLOORS = {
    "transformers": ("5.10", "code execution through config files"),
    "torch": ("2.10", "unsafe weights_only loads"),
    "onnx": ("1.21", "path traversal in external data"),
    "datasets": ("4.0", "loading scripts"),
    "jinja2": ("3.1.6", "sandbox escape in chat templates"),
}


def examine() -> dict[str, Any]:
    """Environment, GPU, engines with their packages, plugin problems, and packages below a
    floor."""
    registry = load_plugins()
    engines = {
        name: {
            "formats": list(e.cls.formats),
            "packages": versions(e.cls.packages),
            "missing": [p for p in e.cls.packages if not versions([p])],
        }
        for name, e in sorted(registry.engines.items())
    }
    return {
        "environment": environment(),
        "gpus": _gpus(),
        "engines": engines,
        "problems": registry.problems,
        "below_floor": _below_floor(),
    }


def _gpus() -> list[str]:
    """Names of NVIDIA GPUs as the driver's own tool lists them; empty where there is no driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    answer = subprocess.run(
        [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return answer.stdout.strip().splitlines() if answer.returncode == 0 else []


def _below_floor() -> list[str]:
    found = versions(FLOORS)
    return [
        f"{name} {found[name]} is below {floor}: {why}"
        for name, (floor, why) in FLOORS.items()
        if name in found and Version(found[name]) < Version(floor)
    ]


def print_examination(found: Mapping[str, Any]) -> None:
    """Print what ``examine`` found."""
    env = found["environment"]
    click.echo(
        f"{env['processor']}: {env['threads']} threads, "
        f"{', '.join(env['features']) or 'no known features'}"
    )
    click.echo(
        f"memory {env['memory_bytes'] / 1e9:.1f} GB; {env['system']}; Python {env['python']}"
    )
    click.echo("GPU: " + ("; ".join(found["gpus"]) or "none"))
    click.echo("versions:")
    for name, version in env["versions"].items():
        click.echo(f"  {name} {version}")
    for name, engine in found["engines"].items():
        state = f"missing {', '.join(engine['missing'])}" if engine["missing"] else "ready"
        click.echo(f"engine {name}, for {' and '.join(engine['formats'])} models: {state}")
    warnings = (*found["problems"], *found["below_floor"])
    for line in warnings or ("no plugin failed to load and no package is below its safe floor",):
        click.echo(f"warning: {line}" if warnings else line)
