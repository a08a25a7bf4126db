"""Where things stand in a recipe, and the mistakes that are found there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from compress.errors import Mistake, UsageError

KeyPath = tuple[str | int, ...]
"""The keys and list indices that lead to a value of a recipe."""

Section = Mapping[str, Any]
"""A mapping of a recipe. Its values may be anything: whoever reads the section checks them."""


@dataclass(frozen=True, order=True)
class Place:
    """A line and column, counted from 1, of a recipe's file or of a ``--set`` override.

    Line 0 means the whole ``source``. Places are ordered as a reader meets them."""

    source: str
    line: int = 0
    column: int = 0
    is_override: bool = False

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass
class Mistakes:
    """The mistakes of one recipe. They are collected, so that the user sees all of them at once."""

    _found: list[tuple[Place, Mistake]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._found)

    def copy(self) -> Mistakes:
        """The same mistakes in a collection of their own."""
        return Mistakes(list(self._found))

    def add(self, place: Place, message: str, hint: str = "") -> None:
        """Add what is wrong at ``place``, with what to do about it."""
        self._found.append((place, Mistake(str(place), message, hint)))

    def add_all(self, mistakes: Iterable[Mistake], place: Place) -> None:
        """Add mistakes that were found by reading what ``place`` names, such as a data file."""
        self._found += [(place, mistake.placed(str(place))) for mistake in mistakes]

    def raise_all(self) -> None:
        """Raise UsageError with all mistakes, each once, in the order of their places; do nothing
        where there are none."""
        in_order = sorted(self._found, key=lambda entry: entry[0])
        if in_order:
            raise UsageError(dict.fromkeys(mistake for _, mistake in in_order))
