"""The tokenizer of a model from outside: an artifact's ``tokenizer.json`` gives the ids that
transformers' ``AutoTokenizer`` gives.

``tokenizer_config.json`` may say otherwise than ``tokenizer.json`` (``do_lower_case``,
``add_prefix_space``, the class). transformers heeds both, and an engine reads ``tokenizer.json``
alone. So both are compared on texts, and where they differ transformers writes the file anew."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compress.errors import UsageError
from compress.jsonfiles import read_object
from compress.pretrained.configs import read_config
from compress.processor import (
    TextProcessor,
    Vocabulary,
    read_tokenizer,
    refusing_tokenizer,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_FILE, _CONFIG = "tokenizer.json", "tokenizer_config.json"
Encode = Callable[[str, str | None], Sequence[int]]
"""Gives the ids of a text, or of a pair."""
_KINDS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_PROBES = (
    "the plot was not very good",
    "The Plot was NOT very GOOD in Paris, SAID Ms. O'Neill-Smith's agent.",
    "Crème brûlée, naïve Ångström, ĐẶNG, straße, İstanbul, ﬁne ½",
    "e\u0301tude cafe\u0301",  # accents of their own
    "東京に行く。 北京大学 한국어 ไทย हिन्दी עברית العربية",
    "  two  spaces, a\ttab\nand a line,\r\n the end ",
    "\u00a0a\u2009thin\u3000space\u200b",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea e\ufe0f",
    "12345 3.14159 1,000,000 $5 50% a_b x=y+z http://a.example/?q=1#top @name #tag",
    "``quoted'' \"text\" ... -- don't I'll we've isn't . , ! ?",
    "supercalifragilisticexpialidocious" * 6,
    "word " * 600,
    "\x00control\x07",
)
_PAIRS = (("A first text", "and a Second one"), ("Good ", " a much longer second text " * 9))


@dataclass(frozen=True)
class Difference:
    """A text for which two tokenizers give other ids."""

    text: str
    own: Sequence[int]
    wanted: Sequence[int]

    def __str__(self) -> str:
        both = min(len(self.own), len(self.wanted))
        places = (i for i in range(both) if self.own[i] != self.wanted[i])
        place = next(places, both)
        return (
            f"{_id_at(self.own, place)} and {_id_at(self.wanted, place)} at token {place + 1} of "
            f"{self.text!r:.60}"
        )


def take_tokenizer(folder: Path, output: Path) -> TextProcessor:
    """The processor of the tokenizer that is now in ``output``: its ids are ``AutoTokenizer``'s.

    ``output`` has copies of the tokenizer files of the model ``folder``. Raises UsageError if a
    file cannot be read, if transformers cannot read the tokenizer or would invent one, and if no
    ``tokenizer.json`` gives the ids."""
    has_own = (folder / _FILE).is_file()
    if has_own:  # a file that cannot be read is named by its own line
        read_tokenizer(folder / _FILE)
    else:
        _refuse_python_code(folder, _named_class(folder))
    wanted = _read(folder)
    if not has_own:
        _refuse_invented(folder, wanted)
    if not has_own or _first_difference(_ids_in(output), wanted):
        wanted.save_pretrained(output)
        if not has_own:
            _refuse_python_code(folder, type(wanted))
        difference = _first_difference(_ids_in(output), wanted)
        if difference:
            raise UsageError(
                f"{folder}: no {_FILE} gives the ids of transformers' {type(wanted).__name__}: "
                f"{difference}"
            )
    _name_special_tokens(output, wanted)
    return TextProcessor.load(output)


def refuse_other_ids(folder: Path, processor: Vocabulary) -> None:
    """Raise UsageError for a processor that reads the folder without a ``tokenizer.json``, and
    gives other ids than transformers."""
    wanted = _read(folder)
    difference = _first_difference(lambda text, pair: processor.ids(text), wanted, pairs=False)
    if difference:
        raise UsageError(
            f"{folder}: its tokenizer gives other ids than transformers' {type(wanted).__name__}: "
            f"{difference}"
        )


def refuse_ids_beyond(folder: Path, processor: Vocabulary, rows: int) -> None:
    """Raise UsageError if a token, or a token that the processor adds to a text, has an id for
    which the model's ``rows`` embeddings have none."""
    vocabulary = processor.vocabulary()
    ids = {*vocabulary.values(), *processor.ids("a")}
    if isinstance(processor, TextProcessor):
        ids.update(processor.tokenizer.encode("a", "b").ids)
    largest = max(ids, default=0)
    if largest >= rows:
        token = next((name for name, number in vocabulary.items() if number == largest), None)
        raise UsageError(
            f"{folder}: its tokenizer has ids up to {largest} ({token!r:.60}), and the model has "
            f"{rows} embeddings, for the ids up to {rows - 1}: resize the model's embeddings with "
            "transformers, or save the tokenizer that the model was trained with"
        )


def _named_class(folder: Path) -> type | None:
    """The class in transformers that the folder's files name for its tokenizer, or that its family
    has; None if there is none."""
    import transformers
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    file = folder / _CONFIG
    config = read_object(file, infinity=True) if file.is_file() else {}
    family = TOKENIZER_MAPPING_NAMES.get(str(read_config(folder).get("model_type")))
    found = getattr(transformers, str(config.get("tokenizer_class") or family), None)
    return found if isinstance(found, type) else None


def _refuse_python_code(folder: Path, tokenizer: type | None) -> None:
    """Raise UsageError for the class of a tokenizer that transformers has in Python alone."""
    from transformers import PreTrainedTokenizer

    if tokenizer is not None and issubclass(tokenizer, PreTrainedTokenizer):
        raise UsageError(
            f"{folder}: a {read_config(folder).get('model_type')} model without {_FILE} cannot be "
            f"taken in: its {tokenizer.__name__} is Python code, which cannot write that file; "
            "take a model that has it"
        )


def _read(folder: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    # The error may be of any kind: a class may be unknown, or need a package.
    with (
        warnings.catch_warnings(
            action="ignore"
        ),  # Marian's recommends a package that it does not use
        refusing_tokenizer(f"{folder} has no tokenizer that transformers can read"),
    ):
        read: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        return read


def _refuse_invented(folder: Path, read: PreTrainedTokenizerBase) -> None:
    """Raise UsageError if the vocabulary is missing. transformers then gives a tokenizer that knows
    the special tokens alone, and perhaps a space."""
    if len(set(read.get_vocab()) - set(read.all_special_tokens)) < 2:
        raise UsageError(
            f"{folder} has no vocabulary for a {type(read).__name__}, which its config asks for"
        )


def _ids_in(folder: Path) -> Encode:
    """The ids that a folder's ``tokenizer.json`` gives."""
    tokenizer = read_tokenizer(folder / _FILE)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return lambda text, pair: tokenizer.encode(text, pair).ids


def _first_difference(
    own: Encode, wanted: PreTrainedTokenizerBase, *, pairs: bool = True
) -> Difference | None:
    """The first text of the probe for which the two give other ids."""
    for text, pair in _probe(wanted.all_special_tokens):
        if pair is not None and not pairs:
            continue
        with refusing_tokenizer(
            f"transformers' {type(wanted).__name__} cannot encode {text!r:.60}"
        ):
            ids = list(wanted(text, pair)["input_ids"])
        with refusing_tokenizer(f"the folder's own files cannot encode {text!r:.60}"):
            got = list(own(text, pair))
        if got != ids:
            return Difference(text if pair is None else f"{text} | {pair}", got, ids)
    return None


def _probe(special: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Texts, each alone or with another, in which tokenizers differ; also with the ``special``
    tokens written out."""
    for text in _PROBES:
        yield text, None
    for token in special:
        yield f"a {token} b{token}c {token.lower()}", None
    yield from _PAIRS


def _id_at(ids: Sequence[int], place: int) -> str:
    return f"id {ids[place]}" if place < len(ids) else "no id"


def _name_special_tokens(output: Path, read: PreTrainedTokenizerBase) -> None:
    """Write into ``tokenizer_config.json`` the special tokens that the folder leaves to the
    tokenizer's class in transformers. Code that reads a tokenizer without transformers has no such
    defaults."""
    file = output / _CONFIG
    config = read_object(file, infinity=True) if file.is_file() else {}
    known = read_tokenizer(output / _FILE).get_vocab()
    named = {}
    for kind in _KINDS:
        name = f"{kind}_token"
        token = read.special_tokens_map.get(name)
        if not config.get(name) and token is not None and str(token) in known:
            named[name] = str(token)
    if named:
        text = json.dumps({**config, **named}, indent=2, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8")
