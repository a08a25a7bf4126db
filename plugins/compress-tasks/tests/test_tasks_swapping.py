"""Sentences with other entities stay true."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compress_tasks.bundled.words import entities, names
from compress_tasks.swapping import EntitySwap

LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def row(text: str, tags: str) -> dict[str, Any]:
    """``tags`` are one digit for each word of ``text``."""
    return {"id": text, "tokens": text.split(), "tags": [int(tag) for tag in tags]}


ROWS = [
    row("Ada went to Paris", "3001"),
    row("John Smith likes New York City and Rome", "34012201"),
    row("nobody is here", "000"),
    row("ROME AND PARIS WIN", "1010"),
    row("the UN", "01"),
]


def mentions(rows: list[dict[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in rows:
        for start, end, kind in entities(names(one["tags"], LABELS)):
            found.setdefault(kind, set()).add(" ".join(one["tokens"][start:end]))
    return found


@pytest.mark.parametrize("seed", range(30))
def test_entities_become_others_of_their_kind_and_words_outside_stay(seed: int) -> None:
    swap, draws = EntitySwap(ROWS, LABELS), np.random.default_rng(seed)
    known = {kind: {m.upper() for m in some} for kind, some in mentions(ROWS).items()}
    for given in ROWS:
        copy = swap(given, 1.0, draws)
        if given["tokens"][0] == "nobody":
            assert copy is None
            continue
        assert copy is not None and len(copy["tokens"]) == len(copy["tags"])
        assert outside(copy) == outside(given)
        kinds = [kind for *_, kind in entities(names(given["tags"], LABELS))]
        assert [kind for *_, kind in entities(names(copy["tags"], LABELS))] == kinds
        for kind, some in mentions([copy]).items():
            assert {m.upper() for m in some} <= known[kind]


def outside(one: dict[str, Any]) -> list[str]:
    return [word for word, tag in zip(one["tokens"], one["tags"], strict=True) if tag == 0]


def test_a_line_in_capitals_stays_in_capitals_and_an_abbreviation_says_nothing() -> None:
    swap = EntitySwap([ROWS[0]], LABELS)
    draws = np.random.default_rng(0)
    headline, short = swap(row("BERLIN WINS", "10"), 1.0, draws), swap(ROWS[4], 1.0, draws)
    assert headline is not None and headline["tokens"] == ["PARIS", "WINS"]
    assert short is not None and short["tokens"] == ["the", "Paris"]


def test_at_least_one_entity_changes_and_no_more_than_the_share_on_average() -> None:
    other = EntitySwap([row("Oslo", "1")], LABELS)
    many = row(" ".join(f"Town{i}" for i in range(10)), "1" * 10)
    counts = []
    for seed in range(200):
        copy = other(many, 0.01, np.random.default_rng(seed))
        assert copy is not None
        counts.append(copy["tokens"].count("Oslo"))
    assert min(counts) == 1 and np.mean(counts) < 1.2


def test_an_entity_never_becomes_itself() -> None:
    alone = row("Oslo wins", "10")
    assert EntitySwap([alone], LABELS)(alone, 1.0, np.random.default_rng(0)) is None
    swap = EntitySwap([alone, row("Rome loses", "10")], LABELS)
    for seed in range(20):
        copy = swap(alone, 1.0, np.random.default_rng(seed))
        assert copy is not None and copy["tokens"] == ["Rome", "wins"]


def test_equal_draws_give_equal_rows() -> None:
    swap = EntitySwap(ROWS, LABELS)
    copies = [swap(ROWS[1], 0.5, np.random.default_rng(3)) for _ in range(2)]
    assert copies[0] == copies[1]
