"""Marian's tokenizer: two sentencepiece models, one for the language of the sources and one for
that of the targets, and the ids of their pieces in ``vocab.json``.

transformers reads it in Python, so there is no ``tokenizer.json``. The ids are those of its
``MarianTokenizer``; tests compare. Needs the package ``sentencepiece``."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from compress.errors import UsageError, first_line
from compress.generation import read_generation, special
from compress.jsonfiles import read_object

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

SOURCE, TARGET, VOCABULARY = "source.spm", "target.spm", "vocab.json"
_CONFIG = "tokenizer_config.json"
FILES = (SOURCE, TARGET, VOCABULARY, _CONFIG, "special_tokens_map.json")
"""The names of its files. Those of the two configs may be missing."""
_TOKENS = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
"""The special tokens, where the config names no other."""
_NEVER_CUT = 1 << 24
"""Ids that no text has."""
_CODE = re.compile(r">>.*?<<", re.DOTALL)
"""The code of the target's language, with which a source begins if a model has several."""


def is_marian(folder: Path) -> bool:
    """Whether a model folder has this tokenizer and no other."""
    needed = (SOURCE, TARGET, VOCABULARY)
    return (
        all((folder / name).is_file() for name in needed)
        and not (folder / "tokenizer.json").is_file()
    )


class MarianProcessor:
    """Reads pairs of texts as Marian's tokenizer does.

    ``contents`` are the bytes of its files by name, ``start`` the id with which a decoder's input
    begins."""

    files = FILES

    def __init__(self, contents: Mapping[str, bytes], start: int | None) -> None:
        self.contents, self.start = dict(contents), start
        config = json.loads(contents.get(_CONFIG, b"{}"))
        self._tokens = {kind: _text(config.get(f"{kind}_token"), _TOKENS[kind]) for kind in _TOKENS}
        self._ids: dict[str, int] = json.loads(contents[VOCABULARY])
        self._source, self._target = _model(contents[SOURCE]), _model(contents[TARGET])

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The processor of a model folder. Raises UsageError for files that cannot be read."""
        path = Path(folder)
        files = [path / name for name in FILES if (path / name).is_file()]
        for file in files:
            if file.suffix == ".json":
                read_object(file, infinity=True)
        config = path / "config.json"
        stated = read_object(config, infinity=True) if config.is_file() else {}
        contents = {file.name: file.read_bytes() for file in files}
        try:
            made = cls(contents, special(stated, read_generation(path)).start)
        except (RuntimeError, ValueError) as error:
            raise UsageError(
                f"{path}: its sentencepiece models cannot be read: {first_line(error)}"
            ) from error
        made._refuse_missing(path)
        return made

    def _refuse_missing(self, folder: Path) -> None:
        if json.loads(self.contents.get(_CONFIG, b"{}")).get("separate_vocabs"):
            raise UsageError(
                f"{folder}: its tokenizer has a vocabulary for each language (separate_vocabs), "
                "which is not supported"
            )
        for token in self._tokens.values():
            if not isinstance(self._ids.get(token), int):
                raise UsageError(f"{folder / VOCABULARY}: it has no id for {token!r}")

    def save(self, folder: Path) -> None:
        """Write its files into a folder, as they were read."""
        for name, content in self.contents.items():
            (folder / name).write_bytes(content)

    def identity(self) -> str:
        """A digest of the two models and of the ids."""
        digest = hashlib.sha256()
        for name in (SOURCE, TARGET, VOCABULARY):
            digest.update(hashlib.sha256(self.contents[name]).digest())
        return digest.hexdigest()

    def speaking(self, source: str | None, target: str | None) -> Self:
        """Itself. Raises UsageError for a language: a code stands in the text here."""
        if source is not None or target is not None:
            raise UsageError(
                "a Marian model reads the code of the target's language in the text: leave "
                "source_language and target_language out, and set prefix, such as '>>deu<< '"
            )
        return self

    def mistake(self) -> str | None:
        """None: it has all that it needs."""
        return None

    def vocabulary(self) -> Mapping[str, int]:
        """The id of each piece."""
        return self._ids

    def ids(self, text: str) -> list[int]:
        """The ids of a source, with the end token."""
        return self._ended(self._source, text, _NEVER_CUT)

    def token_id(self, kind: str) -> int | None:
        """The id of a special token: ``eos``, ``unk`` or ``pad``; None for any other."""
        return self._ids[self._tokens[kind]] if kind in self._tokens else None

    @property
    def pad_id(self) -> int:
        """The id that fills a batch."""
        return self._ids[self._tokens["pad"]]

    @property
    def end(self) -> int:
        """The id that ends a text."""
        return self._ids[self._tokens["eos"]]

    @property
    def begin(self) -> list[int]:
        """The id that a decoder's input begins with."""
        return [self.pad_id if self.start is None else self.start]

    def sources(self, texts: Sequence[str], most: int) -> list[list[int]]:
        """The ids of sources with the end token, at most ``most`` of each."""
        return [self._ended(self._source, text, most) for text in texts]

    def targets(self, texts: Sequence[str], most: int) -> list[list[int]]:
        """The ids of targets with the end token, at most ``most`` of each."""
        return [self._ended(self._target, text, most) for text in texts]

    def _ended(self, model: SentencePieceProcessor, text: str, most: int) -> list[int]:
        unknown = self._ids[self._tokens["unk"]]
        ids = [self._ids.get(piece, unknown) for piece in self._pieces(model, text)]
        return [*ids[: most - 1], self.end]

    def _pieces(self, model: SentencePieceProcessor, text: str) -> list[str]:
        pieces: list[str] = []
        for part in self._special.split(text):
            if part in self._tokens.values():
                pieces.append(part)
                continue
            code = _CODE.match(part)
            if code:
                pieces.append(code.group())
                part = part[code.end() :]
            pieces += model.encode(part, out_type=str)
        return pieces

    @cached_property
    def _special(self) -> re.Pattern[str]:
        """The special tokens, which are found in a text before its pieces are."""
        return re.compile(f"({'|'.join(map(re.escape, self._tokens.values()))})")

    @cached_property
    def _pieces_by_id(self) -> Mapping[int, str]:
        return {number: piece for piece, number in self._ids.items()}

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of some ids, without special tokens."""
        special = set(self._tokens.values())
        pieces = [self._pieces_by_id.get(token, "") for token in tokens]
        text: str = self._target.decode_pieces([one for one in pieces if one not in special])
        return text.replace("▁", " ").strip()

    def told(self, on_text: Callable[[str], None]) -> Callable[[int, int], None]:
        """What a session calls with each token of one answer: ``on_text`` gets the text that it
        adds."""
        tokens: list[int] = []
        said = ""

        def on_token(row: int, token: int) -> None:
            nonlocal said
            tokens.append(token)
            text = self.decode(tokens)
            if text.startswith(said) and text != said:
                on_text(text[len(said) :])
                said = text

        return on_token


def _text(value: Any, default: str) -> str:
    """A special token as a config states it."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else default


def _model(content: bytes) -> SentencePieceProcessor:
    from sentencepiece import SentencePieceProcessor

    return SentencePieceProcessor(model_proto=content)
