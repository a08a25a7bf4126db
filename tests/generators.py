"""Tiny models that generate, with weights that make their answers differ, and their batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel

from compress.task import Batch

TOKENS = 30
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "gpt2": {"n_layer": 2, "n_head": 2, "n_embd": 16, "n_positions": 64, "eos_token_id": 1},
    "llama": {
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "hidden_size": 16,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
    },
    "t5": {
        "num_layers": 2,
        "num_heads": 2,
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 32,
        "decoder_start_token_id": 0,
    },
    "bart": {
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "d_model": 16,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "max_position_embeddings": 64,
        "tie_word_embeddings": False,  # tied, it repeats its first token
    },
}
WITH_ENCODER = ("t5", "bart", "marian", "led", "mt5", "mbart", "pegasus", "m2m_100")
_DECODER = {
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "hidden_size": 16,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}
OTHERS: Mapping[str, Mapping[str, Any]] = {
    "mistral": {**_DECODER, "num_key_value_heads": 1, "sliding_window": 4},
    "gemma3_text": {**_DECODER, "num_key_value_heads": 1, "head_dim": 8, "sliding_window": 4},
    "qwen2": {**_DECODER, "num_key_value_heads": 1},
    "qwen3": {**_DECODER, "num_key_value_heads": 1, "head_dim": 8},
    "opt": {**_DECODER, "ffn_dim": 32, "word_embed_proj_dim": 16},
    "bloom": {"hidden_size": 16, "n_layer": 2, "n_head": 2},
    "marian": {**CONFIGS["bart"], "pad_token_id": 0, "decoder_start_token_id": 0},
    "mt5": {**CONFIGS["t5"], "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "mbart": {**CONFIGS["bart"], "decoder_start_token_id": 2},
    "pegasus": {**CONFIGS["bart"], "decoder_start_token_id": 0},
    "m2m_100": {**CONFIGS["bart"], "decoder_start_token_id": 2},
    "led": {
        **CONFIGS["bart"],
        "attention_window": 4,
        "max_encoder_position_embeddings": 64,
        "max_decoder_position_embeddings": 64,
    },
}
"""Families with positions, windows or layers of another kind."""


def generator(family: str, seed: int = 4) -> PreTrainedModel:
    """A model of a family, in evaluation mode. By default its answers to different texts differ."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family, vocab_size=TOKENS, **{**CONFIGS, **OTHERS}[family])
    kind = AutoModelForSeq2SeqLM if family in WITH_ENCODER else AutoModelForCausalLM
    model: PreTrainedModel = kind.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 3  # as they are, nearly all tokens are as probable
    return model


def prompts(rows: int = 3, length: int = 8, seed: int = 0) -> Batch:
    """Texts of different lengths, padded on the right."""
    draw = np.random.default_rng(seed)
    mask = np.ones((rows, length), dtype=np.int64)
    for row in range(1, rows):
        mask[row, length - 2 * row :] = 0
    return {"input_ids": draw.integers(3, TOKENS, (rows, length)), "attention_mask": mask}


def alone(batch: Batch) -> list[Batch]:
    """Each example of a batch in a batch of its own, without padding."""
    lengths = batch["attention_mask"].sum(axis=1)
    return [
        {name: array[row : row + 1, :length] for name, array in batch.items()}
        for row, length in enumerate(lengths)
    ]
