"""Which pieces of a tokenizer can go: a tokenizer without them reads every text, and gives texts of
the other pieces the same pieces as before.

A *piece* is an entry of a tokenizer's vocabulary; its id is the number of a row of the model's
embeddings. The models of ``tokenizer.json`` with pieces are WordPiece, BPE and Unigram. No torch.

Two facts hold for each of them, and tests check them on random texts:

- What was split into kept pieces alone is split into the same pieces. WordPiece takes the longest
  piece that fits, BPE the first merge, Unigram the path with the best score. Among fewer candidates
  the best stays the best, if it is one of them.
- No text gets an unknown token that had none. A piece goes only if each of its characters is a
  piece of its own, which stays.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer

from compress.errors import UsageError, listed

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
"""A piece that stands for one byte of a character which is no piece."""


class Pieces(ABC):
    """The pieces of a tokenizer's model. ``state`` is the ``model`` of its ``tokenizer.json``, and
    ``added`` are the tokens that are found in a text before the model sees it."""

    def __init__(self, state: Mapping[str, Any], added: Mapping[str, int]) -> None:
        self._state, self._added = state, added

    @property
    @abstractmethod
    def ids(self) -> Mapping[str, int]:
        """The id of each piece of the model."""

    @abstractmethod
    def always(self) -> set[int]:
        """Ids of the pieces that stay whatever a corpus holds, without the added tokens.

        Raises UsageError if nothing can be said of texts for which it has no such pieces."""

    def needed_by(self, piece: str) -> set[int]:
        """Ids of other pieces without which ``piece`` is never made."""
        return set()

    @abstractmethod
    def without(self, new: Mapping[int, int]) -> dict[str, Any]:
        """The ``model`` with the pieces whose ids are in ``new``, which maps them to their new
        ids."""

    def _bytes(self) -> set[int]:
        return {number for piece, number in self.ids.items() if _BYTE.fullmatch(piece)}

    def _unknown(self) -> set[int]:
        number = self.ids.get(str(self._state.get("unk_token")))
        return set() if number is None else {number}

    def _refuse(self, piece: str, characters: Sequence[str]) -> None:
        """Raise UsageError for a piece whose characters are no pieces."""
        raise UsageError(
            f"the tokenizer has the piece {piece!r}, and no piece for {listed(characters)} alone: "
            "without some of its pieces, texts that it reads could hold unknown tokens"
        )


class WordPiece(Pieces):
    """The longest piece from the left, then the longest that continues, and so on (BERT)."""

    @property
    def ids(self) -> Mapping[str, int]:
        """The id of each piece."""
        return self._state["vocab"]  # type: ignore[no-any-return]

    def always(self) -> set[int]:
        """Single characters, at the beginning of a word and within one, and the unknown token."""
        kept, prefix = self._unknown(), self._prefix
        for piece, number in self.ids.items():
            if piece in self._added:
                continue
            start, *others = self._characters(piece)
            inside = [each for each in others if each not in self.ids]
            if inside:
                self._refuse(piece, [each.removeprefix(prefix) for each in inside])
            # A word that begins with a character that is no piece needs the very piece.
            if not others or start not in self.ids:
                kept.add(number)
        return kept

    def without(self, new: Mapping[int, int]) -> dict[str, Any]:
        """The model with those pieces."""
        return {**self._state, "vocab": _renumbered(self.ids, new)}

    @property
    def _prefix(self) -> str:
        return str(self._state["continuing_subword_prefix"])

    def _characters(self, piece: str) -> list[str]:
        """The characters of a piece, as pieces of their own."""
        prefix = self._prefix
        if piece.startswith(prefix) and piece != prefix:
            return [prefix + each for each in piece.removeprefix(prefix)]
        return [piece[0], *(prefix + each for each in piece[1:])]


class BytePairs(Pieces):
    """Pairs of neighbours are merged, the first merge of the list first (GPT-2, Llama)."""

    def __init__(self, state: Mapping[str, Any], added: Mapping[str, int]) -> None:
        super().__init__(state, added)
        self._prefix = state.get("continuing_subword_prefix") or ""
        self._suffix = state.get("end_of_word_suffix") or ""
        pairs = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in state["merges"]]
        self._ranks = {pair: rank for rank, pair in enumerate(pairs)}

    @property
    def ids(self) -> Mapping[str, int]:
        """The id of each piece."""
        return self._state["vocab"]  # type: ignore[no-any-return]

    def always(self) -> set[int]:
        """Single characters, which are bytes in most vocabularies of this kind; bytes; the unknown
        token; and what no merge makes, where whole words are looked up."""
        kept = self._unknown() | self._bytes()
        whole = bool(self._state.get("ignore_merges"))
        for piece, number in self.ids.items():
            symbols = self._symbols(piece)
            if len(symbols) == 1 or (whole and any(each not in self.ids for each in symbols)):
                kept.add(number)
        return kept

    def needed_by(self, piece: str) -> set[int]:
        """The pieces that merges make on the way to ``piece``."""
        # What is merged inside of a piece depends on that piece alone: a merge with a neighbour
        # would have made another one.
        symbols, made = self._symbols(piece), set()
        while len(symbols) > 1:
            pairs = list(zip(symbols, symbols[1:], strict=False))
            place = min(
                range(len(pairs)), key=lambda i: self._ranks.get(pairs[i], len(self._ranks))
            )
            if pairs[place] not in self._ranks:
                break
            merged = self._merged(*pairs[place])
            symbols[place : place + 2] = [merged]
            made.add(self.ids[merged])
        return made - {self.ids[piece]}

    def without(self, new: Mapping[int, int]) -> dict[str, Any]:
        """The model with those pieces, and with the merges that make one of two of them."""
        vocabulary = _renumbered(self.ids, new)
        merges = [
            list(pair) for pair in self._ranks if {*pair, self._merged(*pair)} <= vocabulary.keys()
        ]
        return {**self._state, "vocab": vocabulary, "merges": merges}

    def _merged(self, left: str, right: str) -> str:
        return left + right.removeprefix(self._prefix)

    def _symbols(self, piece: str) -> list[str]:
        """What merges begin with: the characters of a piece, each as it stands in a word."""
        starts = not self._prefix or not piece.startswith(self._prefix)
        body = piece if starts else piece.removeprefix(self._prefix)
        ends = bool(self._suffix) and body.endswith(self._suffix)
        symbols = list(body.removesuffix(self._suffix) if ends else body)
        if not symbols:
            return [piece]
        symbols[-1] += self._suffix if ends else ""
        head = symbols[0] if starts else self._prefix + symbols[0]
        return [head, *(self._prefix + each for each in symbols[1:])]


class Unigram(Pieces):
    """The pieces whose scores have the largest sum (sentencepiece's unigram model: T5, XLM-R)."""

    @property
    def ids(self) -> Mapping[str, int]:
        """The id of each piece."""
        return {piece: number for number, (piece, _) in enumerate(self._state["vocab"])}

    def always(self) -> set[int]:
        """Single characters, bytes, the unknown token, and the piece with the lowest score."""
        scores = [score for _, score in self._state["vocab"]]
        # An unknown character costs 10 more than the worst piece. With another worst piece, a text
        # could be split in another way.
        kept = self._bytes() | {scores.index(min(scores))}
        unknown = self._state.get("unk_id")
        kept |= set() if unknown is None else {unknown}
        ids = self.ids
        for number, (piece, _) in enumerate(self._state["vocab"]):
            if piece in self._added or number == unknown:
                continue
            missing = [each for each in piece if each not in ids]
            if missing and not self._state.get("byte_fallback"):
                self._refuse(piece, missing)
            if len(piece) == 1:
                kept.add(number)
        return kept

    def without(self, new: Mapping[int, int]) -> dict[str, Any]:
        """The model with those pieces."""
        vocabulary = self._state["vocab"]
        order = sorted(new, key=lambda old: new[old])
        unknown = self._state.get("unk_id")
        return {
            **self._state,
            "vocab": [vocabulary[old] for old in order if old < len(vocabulary)],
            "unk_id": None if unknown is None else new[unknown],
        }


_KINDS: Mapping[str, type[Pieces]] = {
    "WordPiece": WordPiece,
    "BPE": BytePairs,
    "Unigram": Unigram,
}


def pieces_of(state: Mapping[str, Any]) -> Pieces:
    """The pieces of a tokenizer, by its ``tokenizer.json``. Raises UsageError for one that has none
    (WordLevel: a word is known whole, or not)."""
    model = state["model"]
    kind = _KINDS.get(model["type"])
    if kind is None:
        raise UsageError(
            f"a {model['type']} tokenizer knows a word whole or not at all, so every word that is "
            f"dropped becomes unknown; tokenizers of pieces can be cut: {listed(sorted(_KINDS))}"
        )
    return kind(model, added_ids(state))


def added_ids(state: Mapping[str, Any]) -> dict[str, int]:
    """The ids of the tokens that are found in a text before the model sees it: special ones, and
    others that were added."""
    return {token["content"]: token["id"] for token in state["added_tokens"]}


def ids_around(tokenizer: Tokenizer) -> set[int]:
    """Ids that a tokenizer puts around a text, or around two."""
    return {*tokenizer.encode("").ids, *tokenizer.encode("", "").ids}


def chosen(
    pieces: Pieces, always: Collection[int], counts: Mapping[int, int], minimum: int, most: int
) -> set[int]:
    """Ids that stay: ``always``, and those that ``counts`` says occur at least ``minimum`` times,
    each with the pieces that it needs. Of these the most frequent, so that at most ``most`` ids
    stay; among equal ones those with the lower ids."""
    names = {number: piece for piece, number in pieces.ids.items()}
    kept = set(always)
    for number in sorted(counts, key=lambda each: (-counts[each], each)):
        if counts[number] < minimum:
            break
        more = {number} | (pieces.needed_by(names[number]) if number in names else set())
        if len(kept | more) > most:
            break
        kept |= more
    return kept


def _renumbered(ids: Mapping[str, int], new: Mapping[int, int]) -> dict[str, int]:
    kept = {piece: new[number] for piece, number in ids.items() if number in new}
    return dict(sorted(kept.items(), key=lambda each: each[1]))
