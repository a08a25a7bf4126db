"""The rows that a task cannot use, each with its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compress.errors import CompressError, Mistake, UsageError
from compress.rows import Columns, length_of
from compress.store.splits import Split
from compress.task import RowError, Task

_MOST_SHOWN = 20
"""Mistakes of rows that are shown; the others are counted."""


class RowMistakes:
    """The mistakes of all splits, the first ones and a count. ``good`` are the rows of the present
    split that can be used."""

    def __init__(self) -> None:
        self.good, self.count = 0, 0
        self._shown: list[Mistake] = []
        self._before = 0

    def look_for(
        self,
        split: Split,
        start: int,
        columns: Columns,
        task: Task[Any],
        labels: Sequence[str],
        refused: RowError,
    ) -> None:
        """Add the mistakes of some rows, which the task ``refused`` together; the first one is row
        ``start`` of the split."""
        before = self.count
        for place in range(length_of(columns)):
            row = {name: [cells[place]] for name, cells in columns.items()}
            try:
                task.normalise(row, labels)
                self.good += 1
            except RowError as error:
                self.add(split, start + place, str(error))
        if self.count == before:
            raise CompressError(
                f"task {task.name}: normalise refuses rows together that it takes alone: {refused}"
            )

    def end_of(self, split: Split) -> None:
        """End a split. If none of its rows can be used, one mistake says so: then they have another
        shape than the options say."""
        count = self.count - self._before
        if count > 1 and not self.good:
            first = self._shown[self._before] if self._before < len(self._shown) else None
            del self._shown[self._before :]
            self.count = self._before + 1
            if first is not None:
                message = f"no row of the {split.name} split can be used; {first.message}"
                self._shown.append(Mistake(first.where, message))
        self.good, self._before = 0, self.count

    def raise_any(self) -> None:
        """Raise UsageError with the mistakes, if there are any."""
        others = self.count - len(self._shown)
        more = [Mistake("data", f"{others} more rows like these")] if others else []
        if self._shown:
            raise UsageError([*self._shown, *more])

    def add(self, split: Split, number: int, message: str) -> None:
        """Add the mistake of a row, the first of which is row 0."""
        self.count += 1
        if len(self._shown) < _MOST_SHOWN:
            where = split.places[number]
            self._shown.append(Mistake(where, f"row {number} of {split.name}: {message}"))
