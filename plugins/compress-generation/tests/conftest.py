"""Tiny models that answer a text by a text, in folders, with the tokenizers of their families."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForSeq2SeqLM, MarianTokenizer, PreTrainedModel

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.processor import TextProcessor

WORDS = [
    "a",
    "man",
    "plays",
    "the",
    "guitar",
    "dog",
    "runs",
    "on",
    "grass",
    "two",
    "women",
    "sit",
    "in",
    "park",
    "ein",
    "mann",
    "spielt",
    "hund",
]
TOKENS = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
_BART = {
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "d_model": 16,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "max_position_embeddings": 48,
    "tie_word_embeddings": False,  # tied, a random model repeats its first token
}
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "t5": {"num_layers": 1, "num_heads": 2, "d_model": 16, "d_kv": 8, "d_ff": 16},
    "bart": _BART,
    "mbart": _BART,
    "marian": _BART,
}
_STARTS = {"t5": 0, "bart": 1, "mbart": 1, "marian": 0}
MakeModel = Callable[..., Path]


def word_processor(*, codes: tuple[str, ...] = ()) -> TextProcessor:
    """A tokenizer of words, with an end token; with ``codes`` for languages, of which the first is
    put before a text."""
    vocabulary = {word: i for i, word in enumerate([*TOKENS.values(), *codes, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.Sequence([])
    parts = [*codes[:1], "$A", "</s>"]
    ids = [(part, vocabulary[part]) for part in parts if part in vocabulary]
    tokenizer.post_processor = processors.TemplateProcessing(parts, None, ids)
    tokenizer.add_special_tokens([*TOKENS.values(), *codes])
    return TextProcessor(tokenizer, {**TOKENS, "tokenizer_class": "TokenizersBackend"})


def marian_tokenizer(folder: Path) -> None:
    """Write Marian's tokenizer: two trained sentencepiece models, and ids for their pieces."""
    folder.mkdir(exist_ok=True)
    texts = [" ".join(WORDS[i : i + 5]) for i in range(len(WORDS))] * 3
    pieces = {"</s>": 0, "<unk>": 1}
    for name, some in (("source.spm", texts[::2]), ("target.spm", texts[1::2])):
        made = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(some),
            model_writer=made,
            vocab_size=40,
            hard_vocab_limit=False,
            minloglevel=2,
        )
        (folder / name).write_bytes(made.getvalue())
        model = sentencepiece.SentencePieceProcessor(model_proto=made.getvalue())
        for number in range(model.get_piece_size()):
            pieces.setdefault(model.id_to_piece(number), len(pieces))
    pieces[">>deu<<"] = len(pieces)
    pieces["<pad>"] = len(pieces)
    (folder / "vocab.json").write_text(json.dumps(pieces), encoding="utf-8")
    MarianTokenizer(
        str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json")
    ).save_pretrained(folder)


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    """``make_model("t5")`` makes a model folder from outside; ``"marian"`` with its own files."""

    def make(family: str, codes: tuple[str, ...] = ()) -> Path:
        folder = tmp_path_factory.mktemp(family)
        if family == "marian":
            marian_tokenizer(folder)
            size = len(json.loads((folder / "vocab.json").read_text(encoding="utf-8")))
            tokens = {"eos_token_id": 0, "pad_token_id": size - 1, "forced_eos_token_id": 0}
            start = size - 1
        else:
            words = word_processor(codes=codes)
            words.save(folder)
            size, start = len(words.vocabulary()), _STARTS[family]
            tokens = {"eos_token_id": 1, "pad_token_id": 0}
            if family == "bart":
                tokens["forced_eos_token_id"] = 1
        config = AutoConfig.for_model(
            family, **CONFIGS[family], **tokens, vocab_size=size, decoder_start_token_id=start
        )
        random_model(config).save_pretrained(folder)
        return folder

    return make


def random_model(config: Any) -> PreTrainedModel:
    """A model whose answers to different texts differ."""
    torch.manual_seed(3)
    model: PreTrainedModel = AutoModelForSeq2SeqLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1 and parameter.requires_grad:
                parameter.normal_(0, 0.5)
    return model


@pytest.fixture(scope="session")
def as_artifact() -> Callable[[Path, str], Artifact]:
    """``as_artifact(folder, task)`` writes the manifest of a folder as it is."""

    def make(folder: Path, task: str) -> Artifact:
        Manifest(Traits(task=task), digest_files(folder), "model", "import").write(folder)
        return Artifact.open(folder)

    return make
