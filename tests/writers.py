"""Tiny models of families that write, each saved as an artifact of a task that it can learn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny import WORDS, sentences, word_processor
from tokenizers import processors
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.generation import Limits
from compress.models import save_model
from compress.sessions import TorchSession
from compress.task import Task

_TOKENS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "vocab_size": len(WORDS)}
_DECODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "head_dim": 8,
}
_T5 = {
    "d_model": 32,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "d_kv": 8,
    "d_ff": 32,
    "decoder_start_token_id": 2,
}
_BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 40,
    "decoder_start_token_id": 2,
}
DECODERS: Mapping[str, Mapping[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 32, "n_positions": 40},
    "llama": _DECODER,
    "mistral": _DECODER,
    "qwen2": _DECODER,
    "qwen3": _DECODER,
}
PAIRS: Mapping[str, Mapping[str, Any]] = {
    "t5": _T5,
    "mt5": {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "bart": {**_BART, "tie_word_embeddings": False},
    "mbart": _BART,
    "marian": {**_BART, "tie_word_embeddings": False},
}
HEADS_IN_CONFIG = ("llama", "mistral", "qwen2", "qwen3", "t5", "mt5")
"""Families whose configs can express another number of heads."""


def is_pair(family: str) -> bool:
    """Whether the family has an encoder and a decoder."""
    return family in PAIRS


def opener(family: str) -> Any:
    """The class in transformers that opens a model of the family."""
    return AutoModelForSeq2SeqLM if is_pair(family) else AutoModelForCausalLM


def writer(family: str, seed: int = 7) -> PreTrainedModel:
    """A model whose answers to different texts differ."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family, **{**_TOKENS, **{**DECODERS, **PAIRS}[family]})
    model: PreTrainedModel = opener(family).from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 3  # as they are, nearly all tokens are as probable
    return model


def save_writer(folder: Path, family: str, task: Task[Any]) -> Artifact:
    """The artifact of ``writer`` in ``folder``, with a tokenizer of words."""
    folder.mkdir()
    save_model(writer(family), folder)
    words = word_processor()
    end = " [SEP]" if is_pair(family) else ""
    known = [("[SEP]", 3)] if end else []
    words.tokenizer.post_processor = processors.TemplateProcessing(
        f"$A{end}", f"$A{end} $B{end}", known
    )
    words.config["eos_token"] = "[SEP]"
    words.save(folder)
    Manifest(Traits(task=task.name), digest_files(folder), "model", "import").write(folder)
    return Artifact.open(folder)


def rows_for(family: str, count: int, seed: int) -> list[dict[str, str]]:
    """Texts, or pairs of a text and its last two words."""
    texts = [row["text"] for row in sentences(count, seed)]
    if not is_pair(family):
        return [{"text": text} for text in texts]
    return [{"source": text, "target": " ".join(text.split()[-2:])} for text in texts]


def asked(seed: int = 0) -> dict[str, np.ndarray]:
    """Three prompts of 6, 4 and 2 tokens, padded on the right."""
    draws = np.random.default_rng(seed)
    mask = np.array([[1] * 6, [1] * 4 + [0] * 2, [1] * 2 + [0] * 4], dtype=np.int64)
    return {"input_ids": draws.integers(5, len(WORDS), (3, 6)) * mask, "attention_mask": mask}


def written(model: PreTrainedModel, seed: int = 0) -> list[list[int]]:
    """The eight tokens that a model writes, greedily."""
    limits = Limits(max_new_tokens=8, min_new_tokens=8)
    return TorchSession(model, "cpu").generate(asked(seed), limits)
