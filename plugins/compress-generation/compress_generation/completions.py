"""Prompts and what follows them, as tokens. A conversation is one such pair for each message that
the model writes: its prompt is what the chat template makes of the messages before.

The loss is of the completion alone. A completion ends with the end token.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from compress.errors import Mistake, UsageError
from compress.processor import TextProcessor
from compress.rows import Row
from compress.task import IGNORED, Features
from compress_generation.forms import WRITER
from compress_generation.passages import ALL, end_id

_MOST_SHOWN = 20
"""Rows with a mistake that are shown."""


@dataclass(frozen=True)
class Pair:
    """A prompt and its completion. ``is_marked``: special tokens are written in the text, so that
    the tokenizer adds none."""

    prompt: str
    completion: str
    is_marked: bool = False


def with_completion(row: Row, text: str) -> Row:
    """``row`` with another completion. Raises UsageError for a row that has none."""
    if "completion" not in row:
        raise UsageError(
            "a model's own answers are learned from as completions: give rows of prompt and "
            "completion, or leave sequences and on_policy out"
        )
    return {**row, "completion": text}


def pairs_of(row: Row, processor: TextProcessor) -> list[Pair]:
    """The pairs of a row; several for the messages of a conversation. Raises UsageError, one line,
    for messages that the chat template refuses."""
    if "messages" not in row:
        return [Pair(row["prompt"], row["completion"])]
    messages = row["messages"]
    return [
        _turn(messages, place, processor)
        for place, message in enumerate(messages)
        if message["role"] == WRITER
    ]


def _turn(messages: Sequence[Row], place: int, processor: TextProcessor) -> Pair:
    """What the model reads before it writes the message at ``place``, and that message. The text
    after it, such as the end of a line, is not the model's."""
    from compress.chat import chat_text  # jinja takes a tenth of a second

    prompt = chat_text(processor, messages[:place], answers=True)
    whole = chat_text(processor, messages[: place + 1], answers=False)
    if not whole.startswith(prompt):
        raise UsageError(
            f"the chat template writes another text before message {place} when the model is "
            "asked for it: it cannot be learnt from"
        )
    written, end, _ = whole[len(prompt) :].partition(processor.token("eos") or "\0")
    return Pair(prompt, written if end else whole[len(prompt) :], is_marked=True)


def features(rows: Sequence[Row], processor: TextProcessor, max_length: int) -> list[Features]:
    """``input_ids`` and ``labels`` of each pair, cut to ``max_length``, with ``row``, the place of
    its row, ``prompt``, the number of tokens before the completion, and ``bytes``, those of the
    completion's text that were kept.

    Raises UsageError, a line for each row, where no token of a completion has room, and where the
    chat template refuses the messages."""
    made: list[Features] = []
    mistakes: list[Mistake] = []
    for place, row in enumerate(rows):
        try:
            pairs = pairs_of(row, processor)
            made += [{**_encoded(pair, processor, max_length), "row": place} for pair in pairs]
        except UsageError as error:
            mistakes += [replace(one, where=f"row {row['id']}") for one in error.mistakes]
    if mistakes:
        raise UsageError(mistakes[:_MOST_SHOWN])
    return made


def prompt_ids(
    prompts: Iterable[str], processor: TextProcessor, is_marked: bool
) -> list[list[int]]:
    """The ids of prompts, without those that the tokenizer's template puts behind a text."""
    return [_ids(prompt, processor, is_marked) for prompt in prompts]


def _encoded(pair: Pair, processor: TextProcessor, most: int) -> dict[str, Any]:
    prompt = _ids(pair.prompt, processor, pair.is_marked)
    if len(prompt) >= most:
        raise UsageError(
            f"its prompt has {len(prompt)} tokens, which leaves no room for the completion: set "
            f"max_length above {len(prompt)}"
        )
    whole = _ids(pair.prompt + pair.completion, processor, pair.is_marked)
    if whole[: len(prompt)] == prompt:
        completion = whole[len(prompt) :]
    else:  # a token would hold the end of the prompt and the beginning of the completion
        completion = processor.tokenizer.encode(pair.completion, add_special_tokens=False).ids
    ids = [*prompt, *completion, end_id(processor)]
    labels = [IGNORED] * len(prompt) + ids[len(prompt) :]
    return {
        "input_ids": ids[:most],
        "labels": labels[:most],
        "prompt": len(prompt),
        "bytes": _kept_bytes(pair.completion, completion, most - len(prompt), processor),
    }


def _kept_bytes(text: str, tokens: Sequence[int], room: int, processor: TextProcessor) -> int:
    """The UTF-8 bytes of a completion; where it is cut, of the tokens that are kept."""
    if len(tokens) <= room:
        return len(text.encode())
    return len(processor.tokenizer.decode(tokens[:room], skip_special_tokens=False).encode())


def _ids(text: str, processor: TextProcessor, is_marked: bool) -> list[int]:
    if is_marked:
        ids: list[int] = processor.tokenizer.encode(text, add_special_tokens=False).ids
        return ids
    (encoding,) = processor.encode([text], max_length=ALL)
    ids, mask = list(encoding.ids), encoding.special_tokens_mask
    while ids and mask[len(ids) - 1]:
        ids.pop()
    return ids
