"""Train a tokenizer that is equal each time: byte-level BPE.

The WordPiece trainer of tokenizers 0.23 gives other ids, even other tokens, at each run. An
interrupted run could then not end in the weights of an unbroken one. The BPE trainer gives
the same tokens each time.
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
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL["unk"]))
    steps: list[normalizers.Normalizer] = [normalizers.NFC()]
    if lowercase:
        steps.append(normalizers.Lowercase())
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL.values()),
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    cls, sep = SPECIAL["cls"], SPECIAL["sep"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
    )
    config = {
        "tokenizer_class": "TokenizersBackend",
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        **{f"{kind}_token": token for kind, token in SPECIAL.items()},
    }
    return TextProcessor(tokenizer, config, model_type)
