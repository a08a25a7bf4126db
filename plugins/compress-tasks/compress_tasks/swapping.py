"""Sentences whose entities are others of their type: they stay true, and are as good as new to a
model. Dai and Adel 2020, "An Analysis of Simple Data Augmentation for Named Entity Recognition",
section 3, mention replacement (arXiv:2010.11683)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from compress.task import Row
from compress_tasks.bundled.words import entities, names

_ABBREVIATION = 4
"""Letters up to which a word in capitals is no sign of a line in capitals."""


class EntitySwap:
    """Makes rows whose entities are those of other ``rows``. Each different entity of a type is
    drawn as often as the others, so rare ones are seen more often than in the text."""

    def __init__(self, rows: Iterable[Row], labels: Sequence[str]) -> None:
        self._labels = labels
        self._tags = {name: number for number, name in enumerate(labels)}
        found: dict[str, dict[tuple[str, ...], None]] = {}
        for row in rows:
            for start, end, kind in entities(names(row["tags"], labels)):
                found.setdefault(kind, {})[tuple(row["tokens"][start:end])] = None
        self._entities = {kind: [*of_kind] for kind, of_kind in found.items()}
        self._places = {
            kind: {words: place for place, words in enumerate(of_kind)}
            for kind, of_kind in found.items()
        }

    def __call__(self, row: Row, share: float, draws: np.random.Generator) -> Row | None:
        """``row`` with about that share of its entities replaced, but at least one; None if none
        of them has another of its type."""
        every = entities(names(row["tags"], self._labels))
        found = [one for one in every if self._others(one[2], row["tokens"][one[0] : one[1]])]
        if not found:
            return None
        chosen = draws.random(len(found)) < share
        chosen[draws.integers(len(found))] = True
        tokens, tags, place = [], [], 0
        for (start, end, kind), is_chosen in zip(found, chosen.tolist(), strict=True):
            if not is_chosen:
                continue
            other = self._drawn(kind, row["tokens"][start:end], draws)
            tokens += [*row["tokens"][place:start], *other]
            inside = [self._tags[f"I-{kind}"]] * (len(other) - 1)
            tags += [*row["tags"][place:start], self._tags[f"B-{kind}"], *inside]
            place = end
        tokens += row["tokens"][place:]
        tags += row["tags"][place:]
        return {**row, "tokens": tokens, "tags": tags}

    def _others(self, kind: str, words: Sequence[str]) -> int:
        """How many other entities of a kind there are."""
        own = tuple(words) in self._places.get(kind, {})
        return len(self._entities.get(kind, ())) - own

    def _drawn(self, kind: str, words: Sequence[str], draws: np.random.Generator) -> Sequence[str]:
        """Another entity of a kind; in capitals where these ``words`` are."""
        of_kind = self._entities[kind]
        place = int(draws.integers(self._others(kind, words)))
        own = self._places[kind].get(tuple(words), len(of_kind))
        other = of_kind[place + (place >= own)]
        letters = "".join(words)
        in_capitals = letters.isupper() and len(letters) > _ABBREVIATION
        return [word.upper() for word in other] if in_capitals else other
