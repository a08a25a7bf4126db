"""Tokenizers with fewer pieces, on random texts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from compress_prune.numbering import new_ids, renumbered_tokenizer
from compress_prune.pieces import added_ids, chosen, ids_around, pieces_of
from tokenizers import Tokenizer, models
from trainedpieces import WORDS, texts, trained

from compress.errors import UsageError
from compress.processor import TextProcessor


def odd_texts(count: int, seed: int) -> list[str]:
    """Texts of any characters, of the words' characters, and of the words' parts."""
    draws = np.random.default_rng(seed)
    letters = sorted({letter for word in WORDS for letter in word}) + [" ", " ", "\n", "x"]
    made = []
    for i in range(count):
        size = int(draws.integers(1, 30))
        if i % 3 == 0:
            points = draws.integers(1, 0x2FFFF, size)
            made.append("".join(chr(p) for p in points if not 0xD800 <= p < 0xE000))
        elif i % 3 == 1:
            made.append("".join(draws.choice(letters, size=size)))
        else:
            made.append("".join(word[: draws.integers(1, 5)] for word in draws.choice(WORDS, size)))
    return made


def without(
    processor: TextProcessor, counts: dict[int, int], **limits: int
) -> tuple[TextProcessor, dict[int, int]]:
    """The tokenizer with what ``counts`` needs, and the new ids."""
    state = json.loads(processor.tokenizer.to_str())
    pieces, added = pieces_of(state), added_ids(state)
    always = pieces.always() | set(added.values()) | ids_around(processor.tokenizer)
    limits = {"minimum": 1, "most": 10**6, **limits}
    new = new_ids(chosen(pieces, always, counts, **limits), pieces, added, 0)
    return renumbered_tokenizer(processor, pieces, new), new


KINDS = ("wordpiece", "bytes", "letters", "whole words", "unigram")


@pytest.fixture(scope="module", params=KINDS)
def processor(request: pytest.FixtureRequest) -> TextProcessor:
    return trained(request.param)


@pytest.mark.parametrize("seed", range(3))
def test_texts_of_kept_pieces_have_the_same_and_no_text_gains_an_unknown_one(processor, seed):
    draws = np.random.default_rng(seed)
    vocabulary = sorted(processor.vocabulary().values())
    some = draws.choice(vocabulary, size=len(vocabulary) // 3, replace=False)
    cut, new = without(processor, {int(each): 1 for each in some})
    assert len(cut.vocabulary()) == len(new) < len(vocabulary)
    unknown = processor.token_id("unk")
    same = 0
    for text in [*texts(150, seed), *odd_texts(300, seed), *WORDS]:
        before, after = processor.ids(text), cut.ids(text)
        if set(before) <= new.keys():
            assert after == [new[each] for each in before], text
            same += 1
        if unknown not in before:
            assert new[unknown] not in after, text
    assert same > 20


def test_special_tokens_stay_and_stand_around_a_text(processor):
    cut, new = without(processor, {})
    assert cut.ids("")[0] == new[2] == cut.token_id("cls")
    assert cut.tokenizer.encode("a", "b").ids[-1] == new[3]
    assert len(cut.ids("cat")) > len(processor.ids("cat"))


def test_the_most_frequent_pieces_stay_with_what_merges_need():
    processor = trained("bytes")
    counts = {each: 1 for each in processor.ids("running") if each > 3}
    pieces = pieces_of(json.loads(processor.tokenizer.to_str()))
    always = pieces.always()
    word = next(n for p, n in pieces.ids.items() if n > 3 and len(p) == 5)
    assert pieces.needed_by(processor.tokenizer.id_to_token(word)) - always
    counts[word] = 5
    kept = chosen(pieces, always, counts, minimum=2, most=10**6)
    assert word in kept and kept == always | {word} | pieces.needed_by(
        processor.tokenizer.id_to_token(word)
    )
    assert chosen(pieces, always, counts, minimum=1, most=len(always) + 1) == always
    assert len(chosen(pieces, always, counts, minimum=1, most=len(kept))) == len(kept)


def test_the_padding_token_keeps_its_id_where_there_is_room():
    pieces = pieces_of(json.loads(trained("wordpiece").tokenizer.to_str()))
    assert new_ids({0, 3, 7, 9}, pieces, {}, 3) == {0: 0, 7: 1, 9: 2, 3: 3}
    assert new_ids({0, 3, 7, 9}, pieces, {}, 9) == {0: 0, 3: 1, 7: 2, 9: 3}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (models.WordLevel({"a": 0, "[UNK]": 1}, "[UNK]"), "WordLevel tokenizer knows a word whole"),
        (
            models.WordPiece({"ab": 0, "a": 1, "[UNK]": 2}, unk_token="[UNK]"),
            "no piece for b alone",
        ),
        (models.Unigram([("a", 0.0), ("ab", -1.0)], 0), "no piece for b alone"),
    ],
)
def test_a_tokenizer_without_pieces_for_every_text_is_refused(model, said):
    with pytest.raises(UsageError, match=said):
        pieces_of(json.loads(Tokenizer(model).to_str())).always()
