"""A tokenizer made of a written vocabulary: words, word pieces and BERT's special tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from compress.processor import TextProcessor

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "on",
    "mat",
    "in",
    "paris",
    "berlin",
    "john",
    "smith",
    "likes",
    "good",
    "bad",
    "film",
    "very",
    "not",
    "is",
    "was",
    "and",
    "went",
    "to",
    ".",
    ",",
    "!",
    "un",
    "##afford",
    "##able",
    "##s",
    "##ing",
    "play",
    "o",
    "'",
    "brien",
]
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def wordpiece() -> Tokenizer:
    """A WordPiece tokenizer as BERT has it."""
    vocabulary = {word: i for i, word in enumerate([*SPECIAL.values(), *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer.add_special_tokens(list(SPECIAL.values()))
    return tokenizer


@pytest.fixture
def processor() -> TextProcessor:
    """The tokenizer of a BERT."""
    return TextProcessor(wordpiece(), dict(SPECIAL), "bert")


@pytest.fixture
def bert_folder(tmp_path: Path) -> Path:
    """A model folder with the tokenizer and a config, no weights."""
    TextProcessor(wordpiece(), {**SPECIAL, "tokenizer_class": "BertTokenizer"}).save(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    return tmp_path
