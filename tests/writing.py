"""Tiny models that write, taken through the stages, and the least of a task that these need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from generators import WITH_ENCODER, generator, prompts
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.generation import PROMPT
from compress.options import Options
from compress.task import Batch, TaskOptions


class Writing:
    """Texts that are lengths: their tokens are drawn."""

    name = "writing"
    options = TaskOptions()

    def __init__(self, family: str) -> None:
        self._has_encoder = family in WITH_ENCODER

    def model_class(self, config: Mapping[str, Any]) -> str:
        return "AutoModelForSeq2SeqLM" if self._has_encoder else "AutoModelForCausalLM"

    def samples(self) -> list[dict[str, int]]:
        return [{"length": length} for length in (3, 5, 9, 12)]

    def processor(self, folder: Path) -> Any:
        return SimpleNamespace(save=lambda output: None)

    def features(self, rows: Sequence[Any], processor: Any) -> list[Any]:
        return list(rows)

    def collate(self, rows: Sequence[Any], processor: Any) -> Batch:
        length = max(row["length"] for row in rows)
        batch = prompts(len(rows), length)
        for mask, row in zip(batch["attention_mask"], rows, strict=True):
            mask[:] = np.arange(length) < row["length"]
        answers = prompts(len(rows), length, seed=1)["input_ids"]
        return {**batch, PROMPT: answers} if self._has_encoder else batch


def saved(family: str, folder: Path) -> Artifact:
    """A model of a family as a PyTorch artifact."""
    generator(family).save_pretrained(folder)
    return manifested(folder, Traits(task="writing"))


def loaded(model: Artifact, family: str) -> PreTrainedModel:
    """The model of a PyTorch artifact. It may differ from the one that was saved: positions that a
    family computes are not in the file."""
    kind = AutoModelForSeq2SeqLM if family in WITH_ENCODER else AutoModelForCausalLM
    made: PreTrainedModel = kind.from_pretrained(model.folder, dtype=torch.float32).eval()
    return made


def manifested(folder: Path, traits: Traits) -> Artifact:
    return Artifact(folder, Manifest(traits, digest_files(folder), "step", "stage"))


def context(family: str, output: Path, store: Path, options: Options) -> Any:
    """What a stage is given. Products are kept in ``store``."""

    def product(kind: str, ingredients: Any, make: Callable[[Path], None]) -> Path:
        if not store.exists():
            store.mkdir(parents=True)
            make(store)
        return store

    output.mkdir(parents=True, exist_ok=True)
    return SimpleNamespace(
        task=Writing(family),
        architectures=(),
        data=None,
        options=options,
        output=output,
        product=product,
    )
