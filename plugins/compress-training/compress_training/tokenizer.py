"""Train a tokenizer: byte-level BPE, which gives the same tokens each time.

The WordPiece trainer of tokenizers 0.23 gives other ids, even other tokens, at each run.
With it an interrupted run could not end in the weights of an unbroken one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from compress.errors import UsageError
from compress.processor import TextProcessor
from compress.specialtokens import BERT, SpecialTokens
from compress.stage import Context
from compress.task import Row, Task, TextTaskOptions

_TYPES = ":1"
"""In the template of a pair: its texts are told apart by types."""


def tokenizer_for(context: Context[Any], vocabulary: int, lowercase: bool = False) -> TextProcessor:
    """The tokenizer of a fresh model, trained on the texts of the training rows, with the special
    tokens of the task."""
    assert context.fresh is not None, "only a fresh model has no tokenizer"
    assert context.data is not None, "the stages that train need data"
    options = context.task.options
    if not isinstance(options, TextTaskOptions):
        raise UsageError(
            f"vocabulary: the task {context.task.name} reads no texts to train a tokenizer "
            "on; name the model whose processor a fresh one takes (processor_of)"
        )
    context.progress(0, 1, "training the tokenizer")
    return train_tokenizer(
        _texts(context.data.rows("train"), context.task),
        vocabulary,
        lowercase,
        options.max_length,
        str(context.fresh["type"]),
        context.task.special_tokens,
    )


def _texts(rows: Iterable[Row], task: Task[Any]) -> Iterator[str]:
    """The texts, and those in lists, in the columns that the task reads."""
    for row in rows:
        for column in task.columns:
            cell = row.get(column.name)
            texts = cell if isinstance(cell, list) else [cell]
            yield from (text for text in texts if isinstance(text, str))


def train_tokenizer(
    texts: Iterable[str],
    vocabulary: int,
    lowercase: bool,
    max_length: int,
    model_type: str,
    special: SpecialTokens = BERT,
) -> TextProcessor:
    """A byte-level BPE tokenizer of at most ``vocabulary`` tokens, with these special tokens and
    their templates."""
    tokenizer = _empty_tokenizer(lowercase, special)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(special.all),
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    if special.single:
        tokenizer.post_processor = _templates(tokenizer, special)
    inputs = ["input_ids", "attention_mask"]
    if _TYPES in special.pair:
        inputs.insert(1, "token_type_ids")
    config = {
        "tokenizer_class": "TokenizersBackend",
        "model_max_length": max_length,
        "model_input_names": inputs,
        **{f"{kind}_token": token for kind, token in special.named.items()},
    }
    return TextProcessor(tokenizer, config, model_type)


def _empty_tokenizer(lowercase: bool, special: SpecialTokens) -> Tokenizer:
    """A byte-level BPE tokenizer without tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token=special.named.get("unk")))
    steps: list[normalizers.Normalizer] = [] if special.is_exact else [normalizers.NFC()]
    if lowercase:
        steps.append(normalizers.Lowercase())
    if steps:
        tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=not special.is_exact)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _templates(tokenizer: Tokenizer, special: SpecialTokens) -> processors.TemplateProcessing:
    """The templates of one text and of a pair, with the ids of a trained tokenizer."""
    single, pair = special.single, special.pair or special.single + " $B"
    words = [word.partition(":")[0] for word in f"{single} {pair}".split()]
    ids = [(token, tokenizer.token_to_id(token)) for token in special.all if token in words]
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)
