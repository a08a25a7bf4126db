"""Tiny random models of many families, each with the tokenizer of its family, as transformers saves
them: the subjects of families.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

LABELS = ("bad", "good")
_VOCABULARY = 300
_KINDS = ("pad", "bos", "eos", "cls", "sep")
_CORPUS = [
    "The quick brown fox jumps over the lazy dog.",
    "good film, bad film and the plot was not very good",
    "Paris in the spring of 1999; a café by the Seine",
    "numbers 0 1 2 3 4 5 6 7 8 9 and (signs) ! ? : ;",
    "the actor was boring boring great",
    "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ",
] * 20

_SIZES = {
    **dict.fromkeys(
        (
            "hidden_size",
            "d_model",
            "n_embd",
            "dim",
            "emb_dim",
            "embedding_size",
            "intermediate_size",
            "intermediate_dim",
            "true_hidden_size",
            "bottleneck_size",
            "d_ff",
            "hidden_dim",
            "dff",
            "d_inner",
            "ffn_dim",
            "encoder_ffn_dim",
            "decoder_ffn_dim",
            "ffn_hidden_size",
            "word_embed_proj_dim",
            "input_embedding_size",
            "output_embedding_size",
        ),
        32,
    ),
    **dict.fromkeys(
        (
            "num_hidden_layers",
            "n_layer",
            "n_layers",
            "num_layers",
            "encoder_layers",
            "decoder_layers",
            "num_decoder_layers",
        ),
        2,
    ),
    **dict.fromkeys(
        (
            "num_attention_heads",
            "n_head",
            "n_heads",
            "num_heads",
            "encoder_attention_heads",
            "decoder_attention_heads",
            "num_key_value_heads",
        ),
        4,
    ),
    **dict.fromkeys(("head_dim", "d_kv", "d_head"), 8),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 72),
}
"""Values of whatever size a family's config has."""


@dataclass(frozen=True)
class Family:
    """A family of transformers by its ``model_type``.

    ``tokenizer`` names the class in transformers, by default the family's own. ``config`` has
    values that the family needs besides small sizes. ``files`` are those of a tokenizer that cannot
    be trained, by name."""

    model_type: str
    tokenizer: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


_LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
_PIECES = [*_LETTERS, *(letter + "</w>" for letter in _LETTERS), "go", "goo", "good</w>", ".</w>"]
_MERGES = "#version: 0.2\ng o\ngo o\ngoo d</w>\n"


def _merged_vocabulary(*special: str) -> dict[str, str]:
    """The files of an older tokenizer of pieces and merges."""
    ids = {piece: number for number, piece in enumerate([*special, *_PIECES])}
    return {"vocab.json": json.dumps(ids), "merges.txt": _MERGES}


_XLM_SPECIAL = ("<s>", "</s>", "<pad>", "<unk>", *(f"<special{i}>" for i in range(10)))

FAMILIES = (
    Family("albert"),
    Family("bart"),
    Family("bert"),
    Family("big_bird", config={"attention_type": "original_full"}),
    Family("bloom", "GPT2Tokenizer"),
    Family("camembert"),
    Family("convbert"),
    Family("ctrl", files=_merged_vocabulary("<unk>", "<eos>", "<pad>")),
    Family("data2vec-text"),
    Family("deberta"),
    Family("deberta-v2"),
    Family("distilbert"),
    Family("electra"),
    Family("ernie"),
    Family("falcon", "GPT2Tokenizer"),
    Family("flaubert", files=_merged_vocabulary(*_XLM_SPECIAL)),
    Family("fnet"),
    Family("funnel", config={"block_sizes": [2, 2]}),
    Family("gemma"),
    Family("gpt2"),
    Family("gpt_neo", config={"attention_types": [[["global", "local"], 1]]}),
    Family("gpt_neox"),
    Family("layoutlm"),
    Family("llama", "GPT2Tokenizer"),
    Family("longformer", config={"attention_window": [8, 8]}),
    Family("mbart"),
    Family("mistral", "GPT2Tokenizer"),
    Family("mobilebert", config={"intra_bottleneck_size": 32}),
    Family("modernbert", "BertTokenizer", config={"global_attn_every_n_layers": 2}),
    Family("mpnet"),
    Family("nystromformer", "AlbertTokenizer"),
    Family("openai-gpt"),
    Family("opt"),
    Family("qwen2"),
    Family("qwen3"),
    Family("roberta"),
    Family("roformer", "BertTokenizer"),
    Family("squeezebert"),
    Family("t5", config={"decoder_start_token_id": 0}),
    Family("xlm", files=_merged_vocabulary(*_XLM_SPECIAL)),
    Family("xlm-roberta"),
    Family("xlnet"),
)


def write_family(family: Family, folder: Path) -> None:
    """Save a random model with a head for two labels, and its tokenizer, into ``folder``."""
    import torch
    from transformers import AutoModelForSequenceClassification

    folder.mkdir(parents=True)
    words = _write_files(family, folder) if family.files else _write_trained(family, folder)
    torch.manual_seed(0)
    config = _config(family, words)
    model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    _spread_weights(model)
    model.eval().save_pretrained(folder)


@dataclass(frozen=True)
class _Words:
    """How many tokens a tokenizer has, and the ids of its special tokens by kind (``pad``)."""

    count: int
    special: Mapping[str, int]


def _write_files(family: Family, folder: Path) -> _Words:
    """Write the files of a tokenizer that cannot be trained, as its family's checkpoints have
    them."""
    for file, text in family.files.items():
        (folder / file).write_text(text, encoding="utf-8")
    tokens = json.loads(family.files["vocab.json"])
    kinds = {"pad": "<pad>", "bos": "<s>", "eos": "</s>"}
    return _Words(len(tokens), {kind: tokens[t] for kind, t in kinds.items() if t in tokens})


def _write_trained(family: Family, folder: Path) -> _Words:
    """Write the family's tokenizer, with a vocabulary of its own."""
    import transformers
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    name = family.tokenizer or TOKENIZER_MAPPING_NAMES[family.model_type]
    tokenizer = getattr(transformers, name)()
    if hasattr(tokenizer, "train_new_from_iterator"):  # else its tokens are characters
        tokenizer = tokenizer.train_new_from_iterator(_CORPUS, _VOCABULARY)
    tokenizer.save_pretrained(folder)
    ids = {kind: getattr(tokenizer, f"{kind}_token_id") for kind in _KINDS}
    return _Words(len(tokenizer), {kind: each for kind, each in ids.items() if each is not None})


def _config(family: Family, words: _Words) -> Any:
    """A config of the family, of tiny sizes, with the tokenizer's special tokens."""
    from transformers import AutoConfig

    own = AutoConfig.for_model(family.model_type).to_dict()
    sizes = {name: value for name, value in _SIZES.items() if name in own}
    tokens = {f"{kind}_token_id": i for kind, i in words.special.items()}
    tokens = {name: i for name, i in tokens.items() if name in own}
    if own.get("decoder_start_token_id") is not None or "decoder_layers" in own:
        tokens["decoder_start_token_id"] = tokens.get("eos_token_id", 0)
    counts = {name: words.count for name in ("vocab_size", "n_words") if name in own}
    head = {"id2label": dict(enumerate(LABELS)), "label2id": {n: i for i, n in enumerate(LABELS)}}
    values = {**sizes, **counts, **tokens, **head, **family.config}
    return AutoConfig.for_model(family.model_type, **values)


def _spread_weights(model: torch.nn.Module) -> None:
    """Draw the weights wide enough that answers differ from text to text."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.2)
