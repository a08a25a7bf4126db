"""Tests share code through helper modules, never by importing each other, and their toy plugins are
whole packages."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest
from installing import PLUGINS, install

from compress.registry.plugins import load_plugins

ROOT = Path(__file__).parent.parent
FOLDERS = [ROOT / "tests", *sorted(ROOT.glob("plugins/*/tests"))]
FILES = [file for folder in FOLDERS for file in folder.glob("*.py")]
TOYS = sorted(path.name for path in PLUGINS.iterdir() if path.is_dir())
MOST_LINES = 150
"""A toy plugin's file has fewer: who reads the test reads the file too."""


def imported(file: Path) -> Iterator[str]:
    """Names of the modules that a file imports, at its top or in a function."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_no_test_is_imported_by_another_and_no_conftest_by_any() -> None:
    assert len(FILES) > 70
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in FILES
        for name in imported(file)
        if name.startswith(("test_", "conftest"))
    ]
    assert wrong == []


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
        assert text.startswith('"""') and text.count("\n") < MOST_LINES, file


def test_toy_plugins_load_without_a_complaint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    install(site, *TOYS)
    monkeypatch.syspath_prepend(str(site))
    installed = list(distributions(path=[str(site)]))
    registry = load_plugins([point for found in installed for point in found.entry_points])
    assert registry.problems == []
    assert sorted(distribution for _, distribution, _ in registry.plugins) == TOYS
