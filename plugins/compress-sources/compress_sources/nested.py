"""Rows that stand in lists inside of other objects, as the questions of SQuAD's paragraphs do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from compress.errors import Mistake
from compress.source import Table
from compress_sources.json_items import RowChecks
from compress_sources.json_text import Item


def nested_table(path: Path, items: Iterable[Item], keys: Sequence[str]) -> Table:
    """The rows to which ``keys`` lead from each item of a file's list. The place of a row is the
    line on which its item begins, and the way from the list to the row."""
    checks, places = RowChecks(path), list[str]()
    rows: list[Any] = []
    for number, (line, item) in enumerate(items):
        way = f"[{number}]"
        found = nested_rows(item, keys, f"{path}:{line} {way}")
        for step, row in [("", item)] if isinstance(item, Mistake) else found:
            if checks.is_row((line, row)):
                rows.append(row)
                places.append(f"{path.name}:{line} {way}{step}")
    checks.raise_mistakes()
    return Table(rows, places)


def nested_rows(value: Any, keys: Sequence[str], where: str) -> Iterator[tuple[str, Any]]:
    """The rows that ``keys`` lead to from an object, from list to list, each after its way from
    there. A row has the keys of all objects around it; of two equal keys the inner one counts.
    Without keys, the value itself.

    What is no row is a Mistake; ``where`` names the object for it."""
    if not keys:
        yield "", value
        return
    key, *others = keys
    inner = value.get(key) if isinstance(value, dict) else None
    if not isinstance(inner, list):
        yield "", Mistake(where, f"there is no list {key!r}, in which rows should stand")
        return
    outer = {name: cell for name, cell in value.items() if name != key}
    for number, item in enumerate(inner):
        step = f".{key}[{number}]"
        for way, row in nested_rows(item, others, where + step):
            yield step + way, _with(outer, row, where + step)


def _with(outer: dict[str, Any], row: Any, where: str) -> Any:
    """The row with the keys around it."""
    if isinstance(row, Mistake):
        return row
    if not isinstance(row, dict):
        return Mistake(where, f"a row inside of objects is an object, not {type(row).__name__}")
    return {**outer, **row}
