"""The special tokens of a tokenizer that is trained for a task. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class SpecialTokens:
    """Special tokens, and how a text is framed by them.

    ``named`` has the token of each kind (``compress.processor.TextProcessor.token``); two kinds may
    share one. ``more`` are tokens without a kind. Their ids follow in this order, from 0 on.
    ``single`` and ``pair`` are what is made of a text and of two, in the words of tokenizers'
    ``TemplateProcessing``; empty: nothing is added. With ``is_exact``, decoding gives the text
    back as it was, so that a model can write it; else a space is put before it, and characters
    are composed (NFC)."""

    named: Mapping[str, str]
    more: tuple[str, ...] = field(default=())
    single: str = ""
    pair: str = ""
    is_exact: bool = False

    @property
    def all(self) -> tuple[str, ...]:
        """Each token once, in the order of the ids."""
        return tuple(dict.fromkeys([*self.named.values(), *self.more]))


BERT = SpecialTokens(
    MappingProxyType(
        {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    ),
    single="[CLS] $A [SEP]",
    pair="[CLS] $A [SEP] $B:1 [SEP]:1",
)
"""Those of an encoder: Devlin et al. 2019, BERT, section 3 (arXiv:1810.04805)."""
