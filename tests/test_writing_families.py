"""Families that write: cut, trained, quantized, opened again by stock transformers, each generates
what the model in memory does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from installing import install
from safetensors.torch import load_file
from tiny import make_artifact
from transformers import PreTrainedModel
from writers import (
    DECODERS,
    HEADS_IN_CONFIG,
    PAIRS,
    is_pair,
    opener,
    rows_for,
    save_writer,
    written,
)

import compress
from compress.artifact import Artifact
from compress.errors import NothingChanged
from compress.models import open_model
from compress.task import Task

FAMILIES = [*DECODERS, *PAIRS]
NO_HEADS_IN_CONFIG = [family for family in FAMILIES if family not in HEADS_IN_CONFIG]
RECOVER = {"epochs": 1, "batch_size": 8, "precision": "fp32", "learning_rate": 1e-3}


def some(families: Sequence[str], *fast: str) -> list[Any]:
    """The families; all but those of ``fast`` are tried with the slow tests."""
    return [f if f in fast else pytest.param(f, marks=pytest.mark.slow) for f in families]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[bool, Task[Any]]]:
    """The tasks of decoders (False), and of models with an encoder too (True)."""
    folder = tmp_path_factory.mktemp("writing") / "site"
    install(folder, "compress-causal-lm", "compress-seq2seq")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        from compress_causal_lm import CausalLm
        from compress_seq2seq import Seq2Seq

        causal = CausalLm(CausalLm.Options(max_length=16))
        pairs = Seq2Seq(Seq2Seq.Options(max_length=16, target_length=4))
        yield {False: causal, True: pairs}


@pytest.fixture(scope="module")
def sources(
    tasks: Mapping[bool, Task[Any]], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Artifact]:
    """A model of each family."""
    folder = tmp_path_factory.mktemp("models")
    return {
        family: save_writer(folder / family, family, tasks[is_pair(family)]) for family in FAMILIES
    }


def made_of(
    source: Artifact, family: str, task: Task[Any], stage: str, place: Path, **options: Any
) -> Artifact:
    rows = {"train": rows_for(family, 16, 1), "test": rows_for(family, 4, 2)}
    return make_artifact(place, stage, task, rows, input=source, **options)


def stock(artifact: Artifact, family: str) -> PreTrainedModel:
    """The model as stock transformers opens it, with every weight from the files."""
    model, info = opener(family).from_pretrained(artifact.folder, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model.eval()


def without_cache(model: PreTrainedModel) -> list[list[int]]:
    """What a model writes if it computes all of its text again for each token."""
    model.generation_config.use_cache = False
    model.config.use_cache = False
    return written(model)


@pytest.mark.parametrize("family", some(FAMILIES, "gpt2", "qwen2", "t5", "marian"))
def test_a_cut_model_trains_and_writes_the_same_when_stock_transformers_opens_it(
    family: str, tasks: Mapping[bool, Task[Any]], sources: Mapping[str, Artifact], tmp_path: Path
) -> None:
    task, cuts = tasks[is_pair(family)], {"feed_forward": 0.5}
    if family in HEADS_IN_CONFIG:
        cuts["heads"] = 0.5
    layers = {"encoder": 1, "decoder": [1]} if is_pair(family) else 1
    options = {"layers": layers, **cuts, "importance_examples": 8, "recover": RECOVER}
    made = made_of(sources[family], family, task, "prune.structured", tmp_path / "made", **options)
    notes = made.manifest.notes
    for part in (notes["encoder"], notes["decoder"]) if is_pair(family) else (notes,):
        heads = [2] if family in HEADS_IN_CONFIG else [4]
        assert (part["feed_forward"], part["heads"], len(part["layers"])) == ([16], heads, 1)
    assert made.traits.shape == "stock"
    ours, theirs = written(open_model(made, task)), stock(made, family)
    if family != "mbart":  # with tied embeddings it repeats its first token
        assert len({token for answer in ours for token in answer}) > 1
    assert written(theirs) == ours
    assert without_cache(theirs) == ours


@pytest.mark.parametrize("family", some(NO_HEADS_IN_CONFIG, "gpt2"))
def test_a_model_that_lost_heads_which_its_config_cannot_express_writes_with_the_toolkit(
    family: str, tasks: Mapping[bool, Task[Any]], sources: Mapping[str, Artifact], tmp_path: Path
) -> None:
    task, options = tasks[is_pair(family)], {"heads": 0.5, "importance_examples": 8}
    made = made_of(sources[family], family, task, "prune.structured", tmp_path / "made", **options)
    assert made.traits.shape == "free"
    model = open_model(made, task)
    ours = written(model)
    assert len(ours) == 3 and without_cache(model) == ours
    settings = open_model(sources[family], task).generation_config.to_dict()
    assert open_model(made, task).generation_config.to_dict() == settings


@pytest.mark.parametrize("family", some(FAMILIES, "qwen2"))
def test_a_share_that_removes_nothing_is_refused(
    family: str, tasks: Mapping[bool, Task[Any]], sources: Mapping[str, Artifact], tmp_path: Path
) -> None:
    task, options = tasks[is_pair(family)], {"heads": 0.01, "feed_forward": 0.01}
    with pytest.raises(NothingChanged, match="feed_forward: 0.01, heads: 0.01 removes nothing"):
        made_of(
            sources[family],
            family,
            task,
            "prune.structured",
            tmp_path / "made",
            importance_examples=4,
            **options,
        )


@pytest.mark.parametrize("family", some(FAMILIES, "marian"))
def test_lora_leaves_a_model_that_stock_transformers_opens(
    family: str, tasks: Mapping[bool, Task[Any]], sources: Mapping[str, Artifact], tmp_path: Path
) -> None:
    source, task = sources[family], tasks[is_pair(family)]
    made = made_of(source, family, task, "finetune", tmp_path / "made", lora={"rank": 2}, **RECOVER)
    assert made.manifest.parameters == open_model(source, task).num_parameters()
    assert set(made.manifest.files) == set(source.manifest.files)
    assert written(stock(made, family)) == written(open_model(made, task))
    before, after = (load_file(each.folder / "model.safetensors") for each in (source, made))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    layers = made.manifest.notes["lora"]["layers"]
    assert changed == {f"{name}.weight" for name in layers}


@pytest.mark.parametrize("family", some(FAMILIES, "gpt2", "t5"))
def test_int8_of_bitsandbytes_writes_and_leaves_the_head_and_the_embeddings(
    family: str, tasks: Mapping[bool, Task[Any]], sources: Mapping[str, Artifact], tmp_path: Path
) -> None:
    task = tasks[is_pair(family)]
    made = made_of(sources[family], family, task, "quantize.bitsandbytes", tmp_path / "made")
    model = open_model(made, task)
    types = {name: weight.dtype for name, weight in model.named_parameters()}
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    assert embeddings.weight.dtype == head.weight.dtype == torch.float32
    assert (embeddings.weight is head.weight) == model.config.tie_word_embeddings
    assert sum(kind == torch.int8 for kind in types.values()) == made.manifest.notes["int8_layers"]
    assert "lm_head" in made.manifest.notes["float_layers"]
    assert written(model) == written(
        opener(family).from_pretrained(made.folder, device_map="cpu").eval()
    )


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen2", "marian"])
def test_a_cut_model_writes_the_same_in_onnx_runtime(
    family: str, tasks: Mapping[bool, Task[Any]], sources: Mapping[str, Artifact], tmp_path: Path
) -> None:
    task = tasks[is_pair(family)]
    options = {"heads": 0.5, "feed_forward": 0.5, "importance_examples": 8}
    cut = made_of(sources[family], family, task, "prune.structured", tmp_path / "cut", **options)
    made = made_of(cut, family, task, "export.onnx", tmp_path / "onnx")
    texts = ["good w1 w2 w3", "bad", "w6 w7 bad w1 w4 w5"]
    want, got = (compress.load(each.folder)(texts, max_new_tokens=8) for each in (cut, made))
    assert got == want
