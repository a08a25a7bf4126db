"""Cells of a row: texts and label names as users write them, checked."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compress.errors import shortened, suggestion
from compress.rows import Columns
from compress.task import RowError
from compress.unicode import has_lone_surrogate

_MOST_DIGITS = 18


def shown(value: object) -> str:
    """A cell in a message: a long text is cut, and so is a list of many."""
    return shortened(repr(value[:60]) if isinstance(value, str) else reprlib.repr(value))


def read_texts(columns: Columns, column: str) -> list[str]:
    """The texts of a column. Raises RowError where one is missing, empty or not text."""
    cells = columns.get(column)
    if cells is None:
        raise RowError(f"{column} is missing")
    return list(cells) if _are_texts(cells) else [read_text(cell, column) for cell in cells]


def _are_texts(cells: Sequence[Any]) -> bool:
    """Whether ``read_text`` would refuse none of the cells. Looked at one by one they take ten
    times as long."""
    try:
        joined = "\n".join(cells)
    except TypeError:  # one is no text
        return False
    return all(cells) and not any(map(str.isspace, cells)) and not has_lone_surrogate(joined)


def read_text(value: object, column: str) -> str:
    """The text in a cell. Raises RowError where it is missing, empty or not text."""
    if value is None:
        raise RowError(f"{column} is missing")
    if not isinstance(value, str):
        raise RowError(f"{column} is {shown(value)}, which is not text")
    if not value.strip():
        raise RowError(f"{column} is empty")
    return whole(value, column)


def whole(text: str, column: str) -> str:
    """``text`` as it is. Raises RowError if it holds a lone surrogate: half of a character,
    such as an emoji that was cut in two."""
    if has_lone_surrogate(text):
        raise RowError(f"{column} {shortened(ascii(text))} is not valid Unicode text")
    return text


def label_name(value: Any, column: str = "label") -> str:
    """A label cell as a name without surrounding spaces; a number becomes its digits (1 and
    1.0 are ``1``).

    Raises RowError where it is missing or cannot be a label."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or value != value or (isinstance(value, str) and not value.strip()):
        raise RowError(f"{column} is missing")
    if not isinstance(value, str | int):
        raise RowError(f"{column} {shown(value)} is neither a name nor a whole number")
    return whole(str(value).strip(), column)


def is_number(name: str) -> bool:
    """Whether a label name is a whole number. One of more digits than any count has is a name."""
    return name.removeprefix("-").isdecimal() and len(name) <= _MOST_DIGITS


def sorted_names(names: Iterable[str]) -> list[str]:
    """Distinct names in alphabetical order, or in numerical order where all of them are
    whole numbers."""
    distinct = set(names)
    return sorted(distinct, key=int) if all(map(is_number, distinct)) else sorted(distinct)


def distinct_names(declared: Sequence[str]) -> list[str]:
    """Declared label names in their order. Raises RowError where a name occurs twice."""
    counts = Counter(declared)
    twice = sorted(name for name in counts if counts[name] > 1)
    if twice:
        raise RowError(f"label {twice[0]!r} is declared twice")
    return list(declared)


def names_by_split(splits: Mapping[str, Iterable[Sequence[Any]]]) -> list[str]:
    """Label names of the training split, sorted; of all splits if there is no training
    split. ``splits`` has the cells of each, some at a time.

    Raises RowError if the training split has names and another split has numbers. These may
    be indices into the names, but the order of the names would be a guess."""
    by_split = {split: _names_in(chunks) for split, chunks in splits.items()}
    everywhere = set().union(*by_split.values())
    names = by_split.get("train") or everywhere
    strangers = sorted(name for name in everywhere - names if is_number(name))
    if strangers and not any(map(is_number, names)):
        raise RowError(
            f"label {strangers[0]!r} is a number where the training split has names; state the "
            "order of the labels with data.labels"
        )
    return sorted_names(names)


def _names_in(chunks: Iterable[Sequence[Any]]) -> set[str]:
    names: set[str] = set()
    for cells in chunks:
        for cell in distinct(cells):
            names.update(_readable(cell))
    return names


def distinct(cells: Sequence[Any]) -> Iterable[Any]:
    """The cells that differ in type or value, where they can be compared by a hash; else all."""
    try:
        return [cell for _, cell in set(zip(map(type, cells), cells, strict=True))]
    except TypeError:  # a list has no hash
        return cells


def label_indices(cells: Sequence[Any], labels: Sequence[str]) -> list[int]:
    """The ``label_index`` of each cell. Raises RowError."""
    if len(set(map(type, cells))) > 1 or not isinstance(next(iter(cells), ""), str):
        return [label_index(cell, labels) for cell in cells]
    known = {cell: label_index(cell, labels) for cell in set(cells)}
    return [known[cell] for cell in cells]


def label_index(value: Any, labels: Sequence[str], column: str = "label") -> int:
    """Index of the label in a cell. A number that is no label's name is an index, unless
    some label's name is a number. Raises RowError."""
    name = label_name(value, column)
    if name in labels:
        return labels.index(name)
    if is_number(name) and not any(map(is_number, labels)) and 0 <= int(name) < len(labels):
        return int(name)
    if name == "-1":
        raise RowError(f"{column} is -1, which marks a row without a label: leave the row out")
    hint = suggestion(name, labels)
    raise RowError(
        f"{column} {shown(name)} is not one of the {len(labels)} labels"
        + (f", {hint}" if hint else "")
    )


def _readable(cell: Any) -> Iterable[str]:
    """The names in a cell; empty if it cannot be read. ``normalise`` refuses that row
    later, with its place."""
    values = cell if isinstance(cell, list | tuple) else [cell]
    try:
        return [label_name(value) for value in values]
    except RowError:
        return []
