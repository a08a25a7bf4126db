"""Tokenizers of bytes, and a tiny GPT-2 that reads one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForCausalLM

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.processor import TextProcessor
from compress.task import Task

END = "<|endoftext|>"
CHATML = (
    "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content + eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def byte_tokenizer(*special: str) -> Tokenizer:
    """A token for each byte, then the special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({byte: i for i, byte in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(special))
    return tokenizer


def plain() -> TextProcessor:
    """Bytes, and the end token, which nothing adds by itself: as GPT-2 has it."""
    config = {
        "bos_token": END,
        "eos_token": END,
        "tokenizer_class": "TokenizersBackend",
        "chat_template": CHATML,
    }
    return TextProcessor(byte_tokenizer(END, "<|user|>", "<|assistant|>"), config)


def framed() -> TextProcessor:
    """Bytes, with a start token that a template puts before each text: as Llama has it."""
    tokenizer = byte_tokenizer("<s>", "</s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return TextProcessor(tokenizer, {"bos_token": "<s>", "eos_token": "</s>"})


def tiny_gpt2(folder: Path, task: Task[Any], processor: TextProcessor) -> Artifact:
    """An artifact with random weights that reads what ``processor`` makes."""
    torch.manual_seed(0)
    end = processor.token_id("eos")
    config = AutoConfig.for_model(
        "gpt2",
        n_layer=2,
        n_head=2,
        n_embd=16,
        n_positions=64,
        vocab_size=processor.tokenizer.get_vocab_size(),
        bos_token_id=end,
        eos_token_id=end,
        initializer_range=0.3,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    processor.save(folder)
    Manifest(Traits(task=task.name), digest_files(folder), "model", "import").write(folder)
    return Artifact.open(folder)
