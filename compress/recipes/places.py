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

    _placed: list[tuple[Place, Mistake]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._placed)

    def copy(self) -> Mistakes:
        """The same mistakes in a collection of their own."""
        return Mistakes(list(self._placed))

    def add(self, place: Place, message: str, hint: str = "") -> None:
        """Add what is wrong at ``place``, with what to do about it."""
        self._placed.append((place, Mistake(str(place), message, hint)))

    def add_all(self, mistakes: Iterable[Mistake], place: Place) -> None:
        """Add mistakes of what ``place`` names, such as a data file. Those that have no place of
        their own get ``place``."""
        self._placed += [(place, mistake.placed(str(place))) for mistake in mistakes]

    def in_order(self) -> Mistakes:
        """The mistakes in the order of their places, each once."""
        first_places: dict[Mistake, Place] = {}
        for place, mistake in sorted(self._placed, key=lambda entry: entry[0]):
            first_places.setdefault(mistake, place)
        return Mistakes([(place, mistake) for mistake, place in first_places.items()])

    def raise_all(self) -> None:
        """Raise UsageError with all mistakes; do nothing where there are none."""
        if self._placed:
            raise UsageError(mistake for _, mistake in self._placed)
