"""Pruning families whose projections are fused, and families with an encoder and a decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from compress_prune import StructuredPruning
from compress_prune.options import StructuredOptions
from tiny import LABELS, WORDS, make_artifact, read, sentences, task_named, word_processor
from transformers import AutoModelForSequenceClassification

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.errors import UsageError
from compress.models import fresh_model, open_model, save_model, task_loss
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
GROUPED = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "intermediate_size": 16,
    "max_position_embeddings": 20,
    "pad_token_id": 0,
}
ROWS = {"train": sentences(12, 0), "test": sentences(4, 1)}


def saved(folder: Path, kind: str, **shape: Any) -> Artifact:
    torch.manual_seed(1)
    config = {"type": kind, "vocab_size": len(WORDS), **FAMILIES.get(kind, {}), **shape}
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
    options = {"feed_forward": 0.5, "heads": 0.5, "importance_examples": 8, "tune": True}
    made = make_artifact(
        tmp_path / "pruned", "prune.structured", TASK, ROWS, input=source, **options
    )
    notes = made.manifest.notes
    stacks = [notes] if kind == "gpt2" else [notes["encoder"], notes["decoder"]]
    assert all(0 <= missed < 1 for missed in notes.pop("missed").values())
    for stack in stacks:
        assert stack == {"layers": [0, 1], "feed_forward": [32, 32], "heads": [2, 2]}
    # T5's config states the size of a head, so it can express another number of heads.
    assert made.traits.shape == ("stock" if kind == "t5" else "free")
    processor = TASK.processor(made.folder)
    batch = TASK.collate(TASK.features(read(ROWS["test"], TASK), processor), processor)
    logits = TorchSession(open_model(made, TASK), "cpu").run(batch)["logits"]
    assert logits.shape == (4, 2)


@pytest.mark.parametrize("kind", ["bart", "t5"])
def test_layers_of_each_stack_are_cut_and_a_stack_that_is_not_named_keeps_all(
    kind: str, tmp_path: Path
) -> None:
    source = saved(tmp_path / "model", kind)
    for place, (layers, left) in enumerate(
        [
            ({"encoder": 1, "decoder": [1]}, (1, 1)),
            ({"decoder": 1}, (2, 1)),
        ]
    ):
        made = make_artifact(
            tmp_path / str(place),
            "prune.structured",
            TASK,
            ROWS,
            input=source,
            layers=layers,
        )
        notes = made.manifest.notes
        assert (len(notes["encoder"]["layers"]), len(notes["decoder"]["layers"])) == left
        assert made.traits.shape == "stock"
        model, info = AutoModelForSequenceClassification.from_pretrained(
            made.folder, output_loading_info=True
        )
        assert not info["missing_keys"] and not info["unexpected_keys"]
        if layers.get("decoder") == [1]:
            kept, whole = (open_model(each, TASK) for each in (made, source))
            path = "model.decoder.layers" if kind == "bart" else "transformer.decoder.block"
            one = kept.get_submodule(f"{path}.0").state_dict()
            other = whole.get_submodule(f"{path}.1").state_dict()
            assert all(torch.equal(one[name], other[name]) for name in other)


def test_the_layer_whose_loss_is_least_without_it_goes_from_each_stack(tmp_path: Path) -> None:
    source = saved(tmp_path / "model", "bart", init_std=0.5)
    losses = {}
    for name in ("encoder", "decoder"):
        for layer in (0, 1):
            model = open_model(source, TASK)
            stack = model.model.get_submodule(name)
            del stack.layers[layer]
            losses[name, layer] = loss_of(model, source)
    asked = {"encoder": 1, "decoder": 1}
    made = make_artifact(
        tmp_path / "pruned", "prune.structured", TASK, ROWS, input=source, layers=asked
    )
    for name in asked:
        (kept,) = made.manifest.notes[name]["layers"]
        assert losses[name, 1 - kept] < losses[name, kept] - 1e-3, "the other was worth less"


@pytest.mark.parametrize(("share", "left"), [(0.25, (6, 2)), (0.5, (4, 1))])
def test_heads_that_share_keys_and_values_go_in_groups_or_from_each_group(
    share: float, left: tuple[int, int], tmp_path: Path
) -> None:
    source = saved(tmp_path / "model", "qwen2", **GROUPED)
    made = make_artifact(
        tmp_path / "made",
        "prune.structured",
        TASK,
        ROWS,
        input=source,
        heads=share,
        importance_examples=8,
    )
    assert made.traits.shape == "stock"
    model = AutoModelForSequenceClassification.from_pretrained(made.folder)
    assert (model.config.num_attention_heads, model.config.num_key_value_heads) == left
    assert made.manifest.notes["heads"] == [left[0]] * 2


def loss_of(model: Any, source: Artifact) -> float:
    processor = TASK.processor(source.folder)
    rows = read(ROWS["train"], TASK)
    arrays = TASK.collate(TASK.features(rows, processor), processor)
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    with torch.no_grad():
        return float(task_loss(TASK, model, batch))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (1, "layers: 1 does not say whose layers: the model has encoder, decoder .give"),
        ({"head": 1}, "layers: the model has no stack 'head': it has encoder, decoder"),
        ({"encoder": 3}, "layers.encoder: 3 does not fit a model of 2 layers"),
        ({"decoder": [0, 2]}, r"layers.decoder: \[0, 2\] does not fit a model of 2 layers"),
    ],
)
def test_layers_that_do_not_fit_the_stacks_are_one_line(
    layers: Any, message: str, tmp_path: Path
) -> None:
    source = saved(tmp_path / "model", "t5")
    with pytest.raises(UsageError, match=message):
        make_artifact(
            tmp_path / "pruned", "prune.structured", TASK, ROWS, input=source, layers=layers
        )


def test_layers_by_stack_name_a_stack_and_cannot_back_off() -> None:
    assert StructuredPruning.back_off(StructuredOptions(layers={"encoder": 1})) is None
    with pytest.raises(ValueError, match="at least 1 item"):
        StructuredOptions(layers={})
