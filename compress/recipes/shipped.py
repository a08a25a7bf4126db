"""The recipes that come with the toolkit."""

from __future__ import annotations

import os
from pathlib import Path

from compress.errors import Mistake, UsageError, shortened, suggestion


def shipped_recipes() -> list[tuple[Path, str]]:
    """(file, summary) of each shipped recipe; the summary is the first comment line."""
    beside = Path(__file__).parent
    # In a wheel they stand beside this module; in a source tree, beside the package.
    paths = sorted(beside.glob("*.yaml")) or sorted(
        (beside.parent.parent / "recipes").glob("*.yaml")
    )
    return [(path, _summary(path)) for path in paths]


def find_recipe(word: str) -> Path:
    """The recipe file that ``word`` names: a path, or the name of a shipped recipe. Raises
    UsageError."""
    path = Path(word)
    if path.suffix or os.path.lexists(path):
        return path
    shipped = {file.stem: file for file, _ in shipped_recipes()}
    if word in shipped:
        return shipped[word]
    hint = suggestion(word, shipped)
    raise UsageError([Mistake(shortened(word), "there is no such recipe file", hint)])


def _summary(path: Path) -> str:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""
