"""Pruning families whose projections are fused, and families with an encoder and a decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import LABELS, WORDS, make_artifact, read, sentences, task_named, word_processor

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.errors import UsageError
from compress.models import fresh_model, open_model, save_model
from compress.sessions import TorchSession

TASK = task_named("text-classification")
END = WORDS.index("[SEP]")
_ENDS = {"eos_token_id": END, "decoder_start_token_id": 0, "pad_token_id": 0}
FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 20, "pad_token_id": 0},
    "bart": {
        "d_model": 16,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 20,
        **_ENDS,
    },
    "t5": {
        "d_model": 16,
        "num_layers": 2,
        "num_decoder_layers": 2,
        "num_heads": 4,
        "d_kv": 4,
        "d_ff": 64,
        **_ENDS,
    },
}
ROWS = {"train": sentences(12, 0), "test": sentences(4, 1)}


def saved(folder: Path, kind: str) -> Artifact:
    torch.manual_seed(1)
    config = {"type": kind, "vocab_size": len(WORDS), **FAMILIES[kind]}
    folder.mkdir()
    save_model(fresh_model(config, TASK, LABELS), folder)
    word_processor().save(folder)
    traits = Traits(task=TASK.name)
    Manifest(traits, digest_files(folder), "model", "import", labels=LABELS).write(folder)
    return Artifact.open(folder)


@pytest.mark.parametrize("kind", FAMILIES)
def test_heads_and_neurons_of_every_stack_are_cut_and_the_model_opens(
    kind: str, tmp_path: Path
) -> None:
    source = saved(tmp_path / "model", kind)
    options = {"feed_forward": 0.5, "heads": 0.5, "importance_examples": 8}
    made = make_artifact(
        tmp_path / "pruned", "prune.structured", TASK, ROWS, input=source, **options
    )
    notes = made.manifest.notes
    stacks = [notes] if kind == "gpt2" else [notes["encoder"], notes["decoder"]]
    for stack in stacks:
        assert stack == {"layers": [0, 1], "feed_forward": [32, 32], "heads": [2, 2]}
    # T5's config states the size of a head, so it can express another number of heads.
    assert made.traits.shape == ("stock" if kind == "t5" else "free")
    processor = TASK.processor(made.folder)
    batch = TASK.collate(TASK.features(read(ROWS["test"], TASK), processor), processor)
    logits = TorchSession(open_model(made, TASK), "cpu").run(batch)["logits"]
    assert logits.shape == (4, 2)


def test_layers_of_an_encoder_and_a_decoder_are_not_cut_by_one_number(tmp_path: Path) -> None:
    source = saved(tmp_path / "model", "t5")
    with pytest.raises(UsageError, match="this model has encoder, decoder, and only one stack"):
        make_artifact(tmp_path / "pruned", "prune.structured", TASK, ROWS, input=source, layers=1)
