"""What a user asks of a model, and how requests of texts become rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compress.errors import Mistake, UsageError, listed
from compress.unicode import has_lone_surrogate

Request = str | tuple[str, ...] | Mapping[str, Any]
"""A text, several texts that belong together, or a mapping of columns."""
ARGUMENTS = frozenset(
    {"as_json", "batch_size", "chat", "file", "folder", "help", "json", "on_text"}
    | {"pair", "requests", "rows", "self", "task", "texts"}
)
"""The arguments that every request has, in Python and on the command line. A task's own options of
a request have other names."""


def refuse_odd(requests: Sequence[object]) -> None:
    """Raise UsageError with each item that is no ``Request``, or holds invalid Unicode text."""
    _refuse([_odd(item) for item in requests])


def texts_of(
    requests: Sequence[Request], columns: Sequence[str], least: int = 1
) -> list[dict[str, Any]]:
    """A row for each request: its texts under the names in ``columns``, in order; None under those
    that it leaves out. It has the first ``least`` of them.

    In a request that is one text, tabs separate the texts, where there are several columns. Raises
    UsageError with each request that does not fit."""
    rows, problems = [], []
    for request in requests:
        texts = _texts(request, columns)
        problems.append(_problem(request, texts, columns, least))
        rows.append({name: texts.get(name) for name in columns})
    _refuse(problems)
    return rows


def _texts(request: Request, columns: Sequence[str]) -> Mapping[Any, Any]:
    """The texts of a request by column; by number, from 0 on, where it has more than columns."""
    if isinstance(request, Mapping):
        return request
    parts = request
    if isinstance(request, str):
        # Further tabs are the last text's own.
        parts = tuple(request.split("\t", len(columns) - 1)) if len(columns) > 1 else (request,)
    names = columns if len(parts) <= len(columns) else range(len(parts))
    return dict(zip(names, parts, strict=False))


def _problem(
    request: Request, texts: Mapping[Any, Any], columns: Sequence[str], least: int
) -> str | None:
    """What is wrong with a request; None if nothing is."""
    given = [name for name in texts if texts[name] is not None]
    strange = [name for name in given if name not in columns]
    if strange and isinstance(request, Mapping):
        return f"it has {strange[0]!r}, and the task takes {listed(columns)}"
    missing = [name for name in columns[:least] if name not in given]
    if strange or missing:
        return f"it has {_counted(len(given))}, and the task takes {_taken(columns, least)}"
    for name in given:
        if not isinstance(texts[name], str):
            return f"{name} is {texts[name]!r:.80}, which is not text"
        if not texts[name].strip():
            return "it is empty" if len(given) == 1 else f"{name} is empty"
    return None


def _counted(texts: int) -> str:
    return "1 text" if texts == 1 else f"{texts} texts"


def _taken(columns: Sequence[str], least: int) -> str:
    if len(columns) == 1:
        return "single texts"
    some = f"{least} to {len(columns)}" if least < len(columns) else str(least)
    return f"{some} texts ({listed(columns)})"


def _odd(item: object) -> str | None:
    """What is wrong with something that a user asks; None if nothing is."""
    if isinstance(item, Mapping):
        texts = [value for value in item.values() if isinstance(value, str)]
    elif isinstance(item, tuple) and item and all(isinstance(text, str) for text in item):
        texts = list(item)
    elif isinstance(item, str):
        texts = [item]
    else:
        return f"got {item!r:.80}, which is neither a text nor a tuple of texts nor a mapping"
    return "it is not valid Unicode text" if any(map(has_lone_surrogate, texts)) else None


def _refuse(problems: Sequence[str | None]) -> None:
    """Raise UsageError with each problem; its place is the number of its request."""
    mistakes = [
        Mistake(f"text {number}", problem)
        for number, problem in enumerate(problems, start=1)
        if problem
    ]
    if mistakes:
        raise UsageError(mistakes)
