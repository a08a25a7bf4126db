"""New ids for the tokens that stay: in a tokenizer's files, and in the configs of a model. No
torch."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer

from compress.errors import CompressError
from compress.processor import TextProcessor
from compress_prune.pieces import Pieces, added_ids

_LISTS = ("bad_words_ids", "begin_suppress_tokens", "suppress_tokens")
"""Entries with lists of ids, or lists of such lists, whose names do not say so."""
_FORCED = "forced_decoder_ids"
"""Pairs of a position and an id."""


def new_ids(
    kept: Collection[int], pieces: Pieces, added: Mapping[str, int], padding: int | None
) -> dict[int, int]:
    """The new id of each id that is kept, from 0 on, in the order of the old ones.

    The model's pieces come first, then tokens that were added to them, as a tokenizer's file counts
    them; last come rows without a token. The ``padding`` token keeps its id if enough pieces stay:
    some families (RoBERTa's) count positions from it."""
    own, others = set(pieces.ids.values()), set(added.values())
    order = sorted(kept, key=lambda old: (old not in own, old not in others, old))
    model_pieces = sum(old in own for old in kept)
    if padding in own and padding is not None and padding < model_pieces:
        order.remove(padding)
        order.insert(padding, padding)
    return {old: new for new, old in enumerate(order)}


def named_ids(config: Mapping[str, Any]) -> set[int]:
    """The ids that a config names: of padding, of the end of a text, of words that are never
    generated."""
    found: set[int] = set()

    def note(number: int) -> int:
        found.add(number)
        return number

    for name, value in config.items():
        _each(name, value, note)
    return found


def renumbered_config(config: Mapping[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    """The entries of a config with the new ids. An id that is none of the model's stays as it is,
    such as -1."""
    return {
        name: _each(name, value, lambda number: new.get(number, number))
        for name, value in config.items()
    }


def renumbered_tokenizer(
    processor: TextProcessor, pieces: Pieces, new: Mapping[int, int]
) -> TextProcessor:
    """The tokenizer of the pieces whose ids are in ``new``. Its texts, and what its config says of
    them, are as before.

    Raises CompressError if a token would get another id than ``new`` says."""
    state = json.loads(processor.tokenizer.to_str())
    added = added_ids(state)
    state["model"] = pieces.without(new)
    state["added_tokens"] = [{**t, "id": new[t["id"]]} for t in state["added_tokens"]]
    if state["post_processor"] is not None:
        state["post_processor"] = _post_processor(state["post_processor"], new)
    tokenizer = Tokenizer.from_str(json.dumps(state))
    got = tokenizer.get_vocab()
    for token, old in {**pieces.ids, **added}.items():
        if old in new and got.get(token) != new[old]:
            raise CompressError(
                f"the token {token!r} has the id {got.get(token)} in the new tokenizer, and "
                f"{new[old]} was meant: its vocabulary names a token or an id twice"
            )
    return TextProcessor(tokenizer, _tokenizer_config(processor.config, new))


def _each(name: str, value: Any, change: Any) -> Any:
    """The value of a config's entry, with ``change`` applied to each id that it holds."""
    if name == _FORCED and isinstance(value, list):
        return [[place, one if one is None else change(one)] for place, one in value]
    if name.endswith(("token_id", "token_ids")) or name in _LISTS:
        return _nested(value, change)
    return value


def _nested(value: Any, change: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_nested(each, change) for each in value]
    is_id = isinstance(value, int) and not isinstance(value, bool)
    return change(value) if is_id else value


def _post_processor(state: Mapping[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    """What puts tokens around a text (in ``tokenizer.json``), with the new ids."""
    made = dict(state)
    for name in ("sep", "cls"):
        if isinstance(made.get(name), Sequence):
            token, number = made[name]
            made[name] = [token, new[number]]
    for name, known in dict(made.get("special_tokens") or {}).items():
        made["special_tokens"] = {
            **made["special_tokens"],
            name: {**known, "ids": [new[number] for number in known["ids"]]},
        }
    if "processors" in made:
        made["processors"] = [_post_processor(each, new) for each in made["processors"]]
    return made


def _tokenizer_config(config: Mapping[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    """``tokenizer_config.json`` with the new ids."""
    decoder = config.get("added_tokens_decoder")
    if not isinstance(decoder, Mapping):
        return dict(config)
    return {
        **config,
        "added_tokens_decoder": {
            str(new[int(old)]): token for old, token in decoder.items() if int(old) in new
        },
    }
