"""Train a tokenizer: byte-level BPE, which gives the same tokens each time.

The WordPiece trainer of tokenizers 0.23 gives other ids, even other tokens, at each run.
With it an interrupted run could not end in the weights of an unbroken one.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from compress.processor import TextProcessor

SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}


def train_tokenizer(
    texts: Iterable[str], vocabulary: int, lowercase: bool, max_length: int, model_type: str
) -> TextProcessor:
    """A byte-level BPE tokenizer of at most ``vocabulary`` tokens, with BERT's special
    tokens and templates."""
    tokenizer = _empty_tokenizer(lowercase)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL.values()),
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = _templates(tokenizer)
    config = {
        "tokenizer_class": "TokenizersBackend",
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        **{f"{kind}_token": token for kind, token in SPECIAL.items()},
    }
    return TextProcessor(tokenizer, config, model_type)


def _empty_tokenizer(lowercase: bool) -> Tokenizer:
    """A byte-level BPE tokenizer without tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL["unk"]))
    steps: list[normalizers.Normalizer] = [normalizers.NFC()]
    if lowercase:
        steps.append(normalizers.Lowercase())
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _templates(tokenizer: Tokenizer) -> processors.TemplateProcessing:
    """BERT's templates of one text and of a pair, with the ids of a trained tokenizer."""
    cls, sep = SPECIAL["cls"], SPECIAL["sep"]
    return processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
    )
