"""The forms of a language model's rows: plain text, a prompt with its completion, or the messages
of a conversation. The columns that the data have decide."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from compress.errors import shortened
from compress.rows import Columns, Row
from compress.task import RowError
from compress.unicode import has_lone_surrogate

Form = tuple[str, ...]
"""The columns of a row."""

TEXT: Form = ("text",)
COMPLETION: Form = ("prompt", "completion")
CHAT: Form = ("messages",)
_FORMS = (TEXT, COMPLETION, CHAT)
_NAMES = "text, or prompt and completion, or messages"
WRITER = "assistant"
"""The role of the messages that the model writes."""


def form_of(columns: Collection[str]) -> Form:
    """The form of data with these columns. Raises RowError where they have none, or several."""
    found = [form for form in _FORMS if set(form) <= set(columns)]
    if len(found) == 1:
        return found[0]
    had = " and ".join(" with ".join(form) for form in found)
    if found:
        raise RowError(f"the data have {had}: give one of them, under {_NAMES}")
    raise RowError(f"the data have the columns {', '.join(columns) or 'of none'}: give {_NAMES}")


def common_form(splits: Mapping[str, Iterable[Columns]]) -> Form | None:
    """The form of all rows; None where there are none. Raises RowError where they have several."""
    first: tuple[str, Form] | None = None
    for split, chunks in splits.items():
        for columns in chunks:
            form = form_of(columns)
            first = first or (split, form)
            if form != first[1]:
                raise RowError(
                    f"the {first[0]} split has rows of {' and '.join(first[1])}, and the {split} "
                    f"split rows of {' and '.join(form)}: give all rows one form"
                )
    return first[1] if first else None


def reference(row: Row) -> str:
    """What the model should write; of several messages one after the other, a line break
    between."""
    if "completion" in row:
        return str(row["completion"])
    return "\n".join(one["content"] for one in row["messages"] if one["role"] == WRITER)


def checked(row: Row) -> dict[str, Any]:
    """A row of one form alone. Raises RowError where it cannot be used."""
    form = form_of([name for name in row if row[name] is not None])
    if form == CHAT:
        return {"messages": _messages(row["messages"])}
    return {name: _text(row[name], name) for name in form}


def _text(value: object, name: str) -> str:
    """A text that is not empty."""
    if not isinstance(value, str):
        raise RowError(f"{name} is {shortened(repr(value))}, which is not text")
    if not value.strip():
        raise RowError(f"{name} is empty")
    if has_lone_surrogate(value):
        raise RowError(f"{name} {shortened(ascii(value))} is not valid Unicode text")
    return value


def asked_messages(value: object) -> list[dict[str, Any]]:
    """The messages of a conversation. Raises RowError where they are none."""
    if not isinstance(value, list | tuple) or not value:
        raise RowError(f"messages is {shortened(repr(value))}, and not a list of messages")
    return [_message(one, place) for place, one in enumerate(value)]


def _messages(value: object) -> list[dict[str, Any]]:
    """Messages of which the model writes at least one, and not the first."""
    messages = asked_messages(value)
    written = [place for place, one in enumerate(messages) if one["role"] == WRITER]
    if not written:
        raise RowError(f"no message has the role {WRITER}, so there is nothing to learn")
    if written[0] == 0:
        raise RowError(f"message 0 has the role {WRITER}: it answers nothing")
    return messages


def _message(value: object, place: int) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not isinstance(value.get("role"), str):
        raise RowError(f"message {place} is {shortened(repr(value))}: it has no role")
    content = value.get("content")
    if value["role"] == WRITER or not isinstance(content, str):
        _text(content, f"content of message {place}")
    return {name: cell for name, cell in value.items() if cell is not None}
