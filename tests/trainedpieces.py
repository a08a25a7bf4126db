"""Small tokenizers of pieces, of each kind that there is, and texts for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer, UnigramTrainer, WordPieceTrainer

from compress.processor import TextProcessor

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
_TEXT = """
the cat sat on a mat while rain ran down the windows of houses and nobody minded it much straße café
naïve 東京 北京 running runner cats mats rained housing minding unwound
"""
WORDS = _TEXT.split()


def texts(count: int, seed: int) -> list[str]:
    """Texts of 1 to 8 words."""
    draws = np.random.default_rng(seed)
    return [" ".join(draws.choice(WORDS, size=draws.integers(1, 9))) for _ in range(count)]


def trained(kind: str) -> TextProcessor:
    """A tokenizer of some 150 pieces, and special tokens around each text."""
    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer: Any = WordPieceTrainer(vocab_size=160, special_tokens=SPECIAL, show_progress=False)
    elif kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = UnigramTrainer(
            vocab_size=140, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", ignore_merges=kind == "whole words"))
        alphabet = pre_tokenizers.ByteLevel.alphabet() if kind != "letters" else []
        tokenizer.pre_tokenizer = (
            pre_tokenizers.ByteLevel(add_prefix_space=False)
            if alphabet
            else pre_tokenizers.Metaspace()
        )
        tokenizer.decoder = decoders.ByteLevel() if alphabet else decoders.Metaspace()
        trainer = BpeTrainer(
            vocab_size=len(alphabet) + 150,
            special_tokens=SPECIAL,
            initial_alphabet=alphabet,
            show_progress=False,
        )
    tokenizer.train_from_iterator(texts(200, 0), trainer)
    around = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", around
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return TextProcessor(tokenizer, {**names, "tokenizer_class": "TokenizersBackend"})
