"""A tokenizer for pairs of texts, which may be of two languages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tokenizers import processors

from compress.errors import UsageError, did_you_mean
from compress.generation import read_generation, special
from compress.jsonfiles import read_object
from compress.processor import TextProcessor

_SEQUENCE = "$A"


class PairProcessor(TextProcessor):
    """A tokenizer that reads sources and targets.

    ``start`` is the id with which a decoder's input begins, ``end`` the one that ends an answer, by
    the model's config. Some tokenizers, such as mBART's and NLLB's, put a token for the language
    before or after a text: ``speaking`` sets the two languages."""

    start: int | None = None
    end: int | None = None
    _target_language: str | None = None

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The processor of a model folder, with the languages that its files state."""
        made, config = super().load(folder), Path(folder, "config.json")
        stated = read_object(config, infinity=True) if config.is_file() else {}
        known = special(stated, read_generation(Path(folder)))
        made.start = known.start
        ends = (made.token_id("eos"), made.token_id("sep"), min(known.end, default=None))
        made.end = next((end for end in ends if end is not None), None)
        target = str(made.config.get("tgt_lang"))
        made._target_language = None if made.tokenizer.token_to_id(target) is None else target
        return made

    def speaking(self, source: str | None, target: str | None) -> Self:
        """Itself, with the languages of the sources and of the targets; None leaves one as it is.

        Raises UsageError for a language that the tokenizer has no token for."""
        if source is not None:
            self.tokenizer.post_processor = self._template(source)
            self.config["src_lang"] = source
        if target is not None:
            self._template(target)
            self._target_language = self.config["tgt_lang"] = target
        return self

    def mistake(self) -> str | None:
        """What is missing to learn from pairs, and to answer; None if nothing is."""
        if self.end is None:
            return (
                "its tokenizer has no end token, by which an answer ends: set eos_token in "
                "tokenizer_config.json"
            )
        if self._language is not None and self._target_language is None:
            return (
                "its tokenizer begins or ends a text with a token for its language: set "
                "source_language and target_language of the task"
            )
        return None

    @property
    def begin(self) -> list[int]:
        """The ids that a decoder's input begins with: the start token, and the token of the
        target's language. Where the language stands after a text, it is the start token itself."""
        start = self.pad_id if self.start is None else self.start
        if self._target_language is None:
            return [start]
        code = self.tokenizer.token_to_id(self._target_language)
        assert code is not None, "it was looked up before it was set"
        return [start, code] if self._language_is_first else [code]

    def sources(self, texts: Sequence[str], most: int) -> list[list[int]]:
        """The ids of sources, at most ``most`` of each."""
        return [encoding.ids for encoding in self.encode(texts, max_length=most)]

    def targets(self, texts: Sequence[str], most: int) -> list[list[int]]:
        """The ids that answers should have, at most ``most`` of each: without a token for the
        language, and with the end token."""
        encoded = [encoding.ids for encoding in self.encode(texts, max_length=most)]
        code = None if self._language is None else self.tokenizer.token_to_id(self._language)
        bare = [[one for one in ids if one != code] for ids in encoded] if code else encoded
        return [self._ended(ids, most) for ids in bare]

    def _ended(self, ids: list[int], most: int) -> list[int]:
        if self.end is None or (ids and ids[-1] == self.end):
            return ids
        return [*ids[: most - 1], self.end]

    @property
    def _language(self) -> str | None:
        """The token for the language that is put before or after a source; None if there is
        none."""
        ordinary = {self.token(kind) for kind in ("bos", "eos", "cls", "sep", "pad", "unk")}
        codes = [token for token in self._added if token not in ordinary and token != _SEQUENCE]
        return codes[0] if codes else None

    @property
    def _language_is_first(self) -> bool:
        added = self._added
        return added.index(str(self._language)) < added.index(_SEQUENCE)

    @property
    def _added(self) -> list[str]:
        """The tokens that are put around a text, with ``$A`` for the text."""
        processor = self.tokenizer.post_processor
        state: dict[str, Any] = {} if processor is None else json.loads(processor.__getstate__())
        parts = state.get("single") if state.get("type") == "TemplateProcessing" else None
        if not isinstance(parts, list):
            return [_SEQUENCE]
        return [
            part["SpecialToken"]["id"] if "SpecialToken" in part else _SEQUENCE for part in parts
        ]

    def _template(self, language: str) -> processors.TemplateProcessing:
        """The tokenizer's template with the token of another language."""
        own = self._language
        if own is None:
            raise UsageError(
                f"the language {language!r} is set, and the model's tokenizer has no token for a "
                "language: leave source_language and target_language out"
            )
        if self.tokenizer.token_to_id(language) is None:
            like = [
                token for token in self.tokenizer.get_vocab() if len(token) < 12 and "_" in token
            ]
            hint = did_you_mean(language, like) or "codes are such as en_XX or eng_Latn"
            raise UsageError(f"the tokenizer has no token for the language {language!r}: {hint}")
        parts = [language if part == own else part for part in self._added]
        ids = [(part, self.tokenizer.token_to_id(part)) for part in parts if part != _SEQUENCE]
        return processors.TemplateProcessing(
            single=parts, pair=[*parts[:-1], "$B", parts[-1]], special_tokens=ids
        )
