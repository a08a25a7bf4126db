"""What a user asks on the command line: texts, messages to a chat model, or JSON objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from compress.errors import UsageError
from compress.jsonfiles import parsed_object
from compress.request import Request

Form = Literal["text", "chat", "row"]
"""What a word or a line of a user is: a text, or texts with tabs between them; what a user says to
a chat model; or a JSON object with the task's columns."""


@dataclass(frozen=True)
class Question:
    """A ``request``, and the texts that are ``shown`` before its answer."""

    request: Request
    shown: tuple[str, ...] = ()


def form_of(pair: bool, chat: bool, rows: bool) -> Form:
    """The form that flags choose. Raises UsageError for more than one."""
    flags = {"--pair": pair, "--chat": chat, "--rows": rows}
    given = [flag for flag, is_set in flags.items() if is_set]
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} do not go together: leave one out")
    return "chat" if chat else "row" if rows else "text"


def question(text: str, form: Form) -> Question:
    """The question that a word or a line asks. Raises UsageError for a row that is none."""
    if form == "chat":
        return Question({"messages": [{"role": "user", "content": text}]}, (text,))
    if form == "text":
        return Question(text, tuple(text.split("\t")))
    try:
        return Question(parsed_object(text))
    except ValueError as error:
        raise UsageError(f"with --rows it is to be a JSON object: {error}") from None


def questions(texts: tuple[str, ...], pair: bool, form: Form) -> list[Question]:
    """The questions of the command's arguments. Raises UsageError with the number of one that
    cannot be read."""
    if pair:
        return [Question(both, both) for both in zip(texts[::2], texts[1::2], strict=True)]
    asked = []
    for number, text in enumerate(texts, start=1):
        try:
            asked.append(question(text, form))
        except UsageError as error:
            raise error.placed(f"text {number}") from None
    return asked
