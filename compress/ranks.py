"""The processes that do one step together, as each of them sees the others. No torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Ranks(Protocol):
    """The processes that do one step. Every one must make the same calls in the same order, because
    each call waits for all of them."""

    @property
    def rank(self) -> int:
        """This process's number, from 0."""
        ...

    @property
    def world(self) -> int:
        """How many they are; 1 for a process that works alone."""
        ...

    def first(self, make: Callable[[], T]) -> T:
        """What ``make()`` returns on rank 0, which alone calls it; the others wait for it. It is
        copied by pickle. ``make`` may not wait for the others itself."""
        ...

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank. They are copied by pickle."""
        ...


class Alone:
    """A process that has no others. The context of a stage's test may derive from it."""

    rank, world = 0, 1

    def first(self, make: Callable[[], T]) -> T:
        """What ``make()`` returns."""
        return make()

    def gather(self, value: T) -> list[T]:
        """The value alone."""
        return [value]
