"""Tests share code through helper modules, never by importing each other, and their toy plugins are
whole packages."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions
from itertools import chain
from pathlib import Path

import pytest
from installing import PLUGINS, install

from compress.registry.plugins import load_plugins

ROOT = Path(__file__).parent.parent
FOLDERS = [ROOT / "tests", *sorted(ROOT.glob("plugins/*/tests"))]
TOYS = sorted(path.parent.name for path in PLUGINS.glob("*/pyproject.toml"))
TOO_LONG = 150
"""A file of a toy plugin has fewer lines: a reader of the test must read it too."""


def imported(file: Path) -> Iterator[str]:
    """Names of the modules that a file imports, at its top or in a function."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_no_test_is_imported_by_another_and_no_conftest_by_any() -> None:
    files = [*chain.from_iterable(folder.glob("*.py") for folder in FOLDERS)]
    assert len(files) > 70
    for file in files:
        wrong = [name for name in imported(file) if name.startswith(("test_", "conftest"))]
        assert wrong == [], file


def test_toy_plugins_stand_in_the_table_of_their_folder() -> None:
    text = (PLUGINS / "README.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `compress-")]
    assert sorted(row.split("`")[1] for row in rows) == TOYS
    assert len(TOYS) > 4


@pytest.mark.parametrize("name", TOYS)
def test_a_toy_plugin_is_a_complete_distribution(name: str) -> None:
    package = name.replace("-", "_")
    project = tomllib.loads((PLUGINS / name / "pyproject.toml").read_text(encoding="utf-8"))
    entry_points = {name.removeprefix("compress-"): package}
    assert project["project"]["name"] == name and project["project"]["description"]
    assert project["project"]["entry-points"] == {"compress": entry_points}
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [package]
    files = list((PLUGINS / name / package).glob("*.py"))
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert text.startswith('"""') and text.count("\n") < TOO_LONG, file


def test_toy_plugins_load_without_a_complaint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    install(site, *TOYS)
    monkeypatch.syspath_prepend(str(site))
    installed = distributions(path=[str(site)])
    registry = load_plugins(chain.from_iterable(found.entry_points for found in installed))
    assert registry.problems == []
    assert sorted(distribution for _, distribution, _ in registry.plugins) == TOYS
