"""Answers to a question in the cells of a row: texts, and where they begin in the context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compress.task import RowError
from compress_tasks.cells import read_text, shown

_SHAPE = "{text: [...], answer_start: [...]}, or a list of {text: ..., answer_start: ...}"


def read_answers(cell: Any, context: str) -> tuple[list[str], list[int]]:
    """The answers without white space around them, and the character of the context at which each
    begins; none for a question without an answer.

    Raises RowError for another shape, and for an answer that does not stand at its place."""
    texts, starts = [], []
    for text, start in _pairs(cell):
        answer = read_text(text, "an answer")
        _refuse_other_place(answer, start, context)
        texts.append(answer.strip())
        starts.append(start + len(answer) - len(answer.lstrip()))
    return texts, starts


def _pairs(cell: Any) -> list[tuple[Any, Any]]:
    """The text and the start of each answer."""
    if cell is None:
        raise RowError("answers is missing")
    if isinstance(cell, Mapping):
        texts, starts = cell.get("text"), cell.get("answer_start")
        if isinstance(texts, list) and isinstance(starts, list):
            if len(texts) == len(starts):
                return list(zip(texts, starts, strict=True))
            raise RowError(f"answers has {len(texts)} texts and {len(starts)} starts")
    elif isinstance(cell, list) and all(isinstance(one, Mapping) for one in cell):
        return [(one.get("text"), one.get("answer_start")) for one in cell]
    raise RowError(f"answers is {shown(cell)}, which is neither {_SHAPE}")


def _refuse_other_place(answer: str, start: Any, context: str) -> None:
    """Raise RowError where the context does not have the answer at ``start``, in characters."""
    if isinstance(start, bool) or not isinstance(start, int):
        raise RowError(f"answer_start is {shown(start)}, which is not a whole number")
    if start >= 0 and context.startswith(answer, start):
        return
    found = context.find(answer)
    elsewhere = f"it begins at {found}" if found >= 0 else "the context does not hold it"
    raise RowError(f"the answer {shown(answer)} does not stand at character {start}: {elsewhere}")


def first_answer(texts: Sequence[str], starts: Sequence[int]) -> tuple[int, int] | None:
    """The first character of the first answer, and the one after it; None where there is none."""
    return (starts[0], starts[0] + len(texts[0])) if texts else None
