"""Varied copies of the training rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from compress.rows import Lazy, Row
from compress.stage import Data
from compress.task import Task, Variation
from compress_distill.options import AugmentOptions


class Copies(Lazy[Row]):
    """Varied copies of those ``rows`` in which ``vary`` finds something to change. All copies of
    one round stand together.

    Each copy has draws of its own, of the ``seed``, its round and its place among all rows."""

    def __init__(
        self, rows: Sequence[Row], vary: Variation, options: AugmentOptions, seed: int
    ) -> None:
        self._rows, self._vary, self._options, self._seed = rows, vary, options, seed
        # A row that cannot be varied gives nothing in any round.
        self._places = [i for i, row in enumerate(rows) if self._copy(row, 0, i) is not None]

    def __len__(self) -> int:
        return len(self._places) * self._options.copies

    def item(self, index: int) -> Row:
        """The copy at an index from 0 on. Its id is that of its row and the number of its round."""
        turn, number = divmod(index, len(self._places))
        place = self._places[number]
        row = self._rows[place]
        copy = self._copy(row, turn, place)
        assert copy is not None, "a row that was varied once can be varied again"
        return {**copy, "id": f"{row['id']}~{turn + 1}"}

    def _copy(self, row: Row, turn: int, place: int) -> Row | None:
        draws = np.random.default_rng([self._seed, turn, place])
        return self._vary(row, self._options.share, draws)


def varied_copies(task: Task[Any], data: Data, options: AugmentOptions, seed: int) -> Copies:
    """Copies of the training rows of ``data``, as the task varies them."""
    rows = data.rows("train")
    return Copies(rows, task.variation(rows, data.labels), options, seed)


def digest_of_copies(task: Task[Any], data: Data, options: AugmentOptions, seed: int) -> str:
    """Identifies what ``varied_copies`` gives for these arguments."""
    drawn = [data.digest, task.name, options.model_dump(mode="json"), seed]
    return hashlib.sha256(json.dumps(drawn).encode()).hexdigest()
