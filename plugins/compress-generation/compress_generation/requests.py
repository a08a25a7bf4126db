"""What a user asks of a language model: texts to continue, and conversations to answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from compress.errors import Mistake, UsageError
from compress.processor import TextProcessor
from compress.request import Request, texts_of
from compress.rows import Row
from compress.task import RowError
from compress_generation.completions import prompt_ids
from compress_generation.forms import asked_messages


def rows_of(requests: Sequence[Request]) -> list[Row]:
    """A row for each request: ``{text}`` or ``{messages}``. Raises UsageError with each request
    that does not fit."""
    rows: list[Row] = []
    mistakes: list[Mistake] = []
    for number, request in enumerate(requests, start=1):
        try:
            rows.append({**_row(request), "request": True})
        except RowError as error:
            mistakes.append(Mistake(f"text {number}", str(error)))
        except UsageError as error:
            mistakes += [replace(one, where=f"text {number}") for one in error.mistakes]
    if mistakes:
        raise UsageError(mistakes)
    return rows


def _row(request: Request) -> Row:
    if isinstance(request, Mapping) and set(request) == {"messages"}:
        return {"messages": asked_messages(request["messages"])}
    (row,) = texts_of([request], ("text",))
    return row


def prompts(rows: Sequence[Row], processor: TextProcessor) -> list[list[int]]:
    """The ids that the model continues. Raises UsageError, one line with the number of the request,
    for messages that the chat template refuses."""
    from compress.chat import chat_text  # jinja takes a tenth of a second

    ids = []
    for number, row in enumerate(rows, start=1):
        is_chat = "messages" in row
        try:
            text = chat_text(processor, row["messages"], answers=True) if is_chat else row["text"]
        except UsageError as error:
            raise error.placed(f"text {number}") from None
        ids += prompt_ids([text], processor, is_marked=is_chat)
    return ids
