"""The rooms of the core: docs/architecture.md and the folders agree, and imports go one way."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "compress"
DOORS = ("__init__", "__main__")
"""Modules that Python itself asks for; what they import is looked at, where they stand is not."""


def rooms() -> dict[str, list[str]]:
    """The table of docs/architecture.md: rooms from the lowest up, with their folders and
    modules."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("## Rooms")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\w[^|]*?) \| ([^|]+) \|", table, flags=re.MULTILINE)[1:]
    assert len(rows) > 8
    return {room: re.findall(r"`(\w+)/?`", content) for room, content in rows}


def modules() -> dict[str, Path]:
    """Every module of the core by its dotted name below ``compress``."""
    found = {}
    for file in sorted(CORE.rglob("*.py")):
        parts = file.relative_to(CORE).with_suffix("").parts
        found[".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)] = file
    assert len(found) > 80
    return found


def imported(file: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """The core's modules that a file of the core imports."""
    package = file.relative_to(ROOT).parent.parts
    return imported_by(file.read_text(encoding="utf-8"), package, known)


def imported_by(code: str, package: Sequence[str], known: Mapping[str, Path]) -> Iterator[str]:
    """The core's modules that code of a package imports, at its top or in a function."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = imported_from(node, package)
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "compress":
                yield nearest_module(name, known)


def imported_from(node: ast.ImportFrom, package: Sequence[str]) -> str:
    """The whole name of what a ``from`` import reads, also of a relative one."""
    if node.level == 0:
        return node.module or ""
    above = package[: len(package) + 1 - node.level]
    return ".".join([*above, node.module] if node.module else above)


def nearest_module(name: str, known: Mapping[str, Path]) -> str:
    """The module that holds ``name``: itself, or the nearest one above it."""
    module = name.removeprefix("compress").removeprefix(".")
    while module and module not in known:
        module = module.rpartition(".")[0]
    return module or "__init__"


def room_of(module: str, table: Mapping[str, list[str]]) -> str:
    top = module.split(".")[0]
    return next(room for room, names in table.items() if top in names)


@pytest.mark.parametrize(
    ("code", "module"),
    [
        ("import compress.running.run", "running.run"),
        ("import json, compress.api as api", "api"),
        ("from compress.running.run import Run", "running.run"),
        ("from compress.running import run, runner", "running.run"),
        ("from compress import api", "api"),
        ("from compress import run", "__init__"),
        ("from ..running.run import Run", "running.run"),
        ("from .. import api", "api"),
        ("from . import edges", "planning.edges"),
        ("def f():\n    from compress.running.run import Run", "running.run"),
    ],
)
def test_no_form_of_an_import_is_overlooked(code: str, module: str) -> None:
    assert module in imported_by(code, ("compress", "planning"), modules())


def test_every_module_is_in_a_room_and_every_room_exists() -> None:
    named = [name for names in rooms().values() for name in names]
    assert len(named) == len(set(named))
    assert set(named) == {module.split(".")[0] for module in modules()} - set(DOORS)


def test_what_is_called_a_folder_is_one() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("## Rooms")[2].partition("|---")[2].partition("\n## ")[0]
    named = {
        name
        for line in table.splitlines()
        if line.startswith("|")
        for name in re.findall(r"`(\w+)/`", line)
    }
    assert named == {path.parent.name for path in CORE.glob("*/__init__.py")}


def test_imports_lead_to_the_same_room_or_to_one_below_it() -> None:
    table, known = rooms(), modules()
    height = {room: i for i, room in enumerate(table)}
    arrows = 0
    upwards = []
    for module, file in known.items():
        if module in DOORS:
            continue
        for target in imported(file, known):
            arrows += 1
            assert target not in DOORS, f"{module} imports the package itself, which is for users"
            if height[room_of(target, table)] > height[room_of(module, table)]:
                upwards.append(f"{module} -> {target}")
    assert arrows > 200
    assert upwards == []


def test_no_two_modules_import_each_other_in_a_circle() -> None:
    known = modules()
    graph = {
        module: {target for target in imported(file, known) if target != module}
        for module, file in known.items()
    }
    assert len(list(TopologicalSorter(graph).static_order())) >= len(known)  # raises for a circle
