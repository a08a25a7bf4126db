"""Where two tokenizers give a text other ids."""

from __future__ import annotations

from compress.processor import Processor, Vocabulary


def difference(first: Processor, second: Processor) -> str:
    """How the tokens of two processors differ, in words: the numbers of their tokens, or the first
    id that stands for another token. Empty if they cut a text into equal tokens."""
    if first.identity() == second.identity():
        return ""
    if not isinstance(first, Vocabulary) or not isinstance(second, Vocabulary):
        return "they do not read inputs alike"
    one, other = first.vocabulary(), second.vocabulary()
    if len(one) != len(other):
        return f"{len(one)} tokens and {len(other)}"
    by_id = ({number: token for token, number in each.items()} for each in (one, other))
    mine, yours = by_id
    differing = (number for number in sorted(mine) if mine[number] != yours.get(number))
    number = next(differing, None)
    if number is None:
        return "they have the same tokens, and cut texts in other ways"
    return f"id {number} is {mine[number]!r} and {yours.get(number)!r}"
