"""Tests share code through helper modules, never by importing each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = [ROOT / "tests", *sorted(ROOT.glob("plugins/*/tests"))]
FILES = [file for folder in FOLDERS for file in sorted(folder.glob("*.py"))]


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
        if name.split(".")[-1].startswith("test_") or name.split(".")[-1] == "conftest"
    ]
    assert wrong == []
