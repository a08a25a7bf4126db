"""Where the heads of families read a text, for heads with one answer for a whole text.

Most heads read the first token. These read another place, so they need batches of another
form. The families are those of transformers 5.23; a slow test compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from compress.architecture import ModelConfig

END_TOKENS = MappingProxyType(
    {
        "bart": 2,
        "bigbird_pegasus": 1,
        "mbart": 2,
        "mt5": 1,
        "mvp": 2,
        "plbart": 2,
        "t5": 1,
        "umt5": 1,
    }
)
"""Families whose head reads the last end token of a text, and takes a batch only if all its
texts hold the same number of end tokens. The id is that of a config that states none."""

LAST_TOKEN_FAMILIES = frozenset(
    {
        "arcee",
        "axk1",
        "axk2",
        "biogpt",
        "bloom",
        "ctrl",
        "deepseek_v2",
        "deepseek_v3",
        "diffllama",
        "doge",
        "exaone4",
        "falcon",
        "gemma",
        "gemma2",
        "gemma3_text",
        "glm",
        "glm4",
        "gpt-sw3",
        "gpt2",
        "gpt_bigcode",
        "gpt_neo",
        "gpt_neox",
        "gpt_oss",
        "gptj",
        "helium",
        "hunyuan_v1_dense",
        "hunyuan_v1_moe",
        "jamba",
        "jetmoe",
        "llama",
        "minicpm3",
        "minimax",
        "ministral",
        "ministral3",
        "mistral",
        "mistral4",
        "mixtral",
        "modernbert-decoder",
        "mpt",
        "nemotron",
        "olmo",
        "olmo2",
        "olmo3",
        "openai-gpt",
        "opt",
        "persimmon",
        "phi",
        "phi3",
        "phimoe",
        "qwen2",
        "qwen2_moe",
        "qwen3",
        "qwen3_5_text",
        "qwen3_moe",
        "qwen3_next",
        "seed_oss",
        "smollm3",
        "stablelm",
        "starcoder2",
        "t5gemma",
        "t5gemma2",
        "zamba",
        "zamba2",
    }
)
"""Families whose head reads the last token of a text: the last that is not the padding token."""


@dataclass(frozen=True)
class ReadAt:
    """Where a head reads a text, if not at its first token.

    ``last_position``: at the last position of the batch, so that padding must stand on the left.
    ``end_token``: at the last end token, whose id this is. ``last_token``: at the last token that
    differs from the padding token."""

    last_position: bool = False
    end_token: int | None = None
    last_token: bool = False


def read_at(config: ModelConfig) -> ReadAt:
    """Where a head reads a text, by a model's ``config.json``."""
    family = str(config.get("model_type"))
    if family in END_TOKENS:
        stated = config.get("eos_token_id")
        return ReadAt(end_token=stated if isinstance(stated, int) else END_TOKENS[family])
    if family == "xlnet":
        return ReadAt(last_position=config.get("summary_type", "last") == "last")
    return ReadAt(last_token=family in LAST_TOKEN_FAMILIES)
