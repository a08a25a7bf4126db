"""Cutting models whose projections are fused or transposed, models with two stacks, and the hidden
width."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from compress_architectures import BertLike, Gpt2, LlamaLike, compress_architectures
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from compress import surgery
from compress.architecture import Architecture, Stack
from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.cutting import projection_at
from compress.edits import Edit
from compress.errors import CompressError
from compress.hidden import hidden_axes, hidden_width, keep_hidden
from compress.models import save_model
from compress.shapes import register_edit, replay, settle
from compress.sizes import architecture_of

ALL = compress_architectures()
IDS = torch.tensor([[5, 6, 7, 8, 9, 16], [11, 12, 13, 14, 15, 16]])
HEAD = 8
_PLAIN = {"vocab_size": 60, "pad_token_id": 0, "eos_token_id": 16}
_BART = {
    "d_model": 32,
    "encoder_layers": 3,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 40,
    "decoder_start_token_id": 0,
}
_T5 = {
    "d_model": 32,
    "num_layers": 3,
    "num_decoder_layers": 3,
    "num_heads": 4,
    "d_kv": HEAD,
    "d_ff": 48,
    "decoder_start_token_id": 0,
}
_COMMON = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}
_GPT2 = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 40}
MODELS: dict[str, tuple[str, Any, Mapping[str, Any]]] = {
    "gpt2": ("gpt2", AutoModelForCausalLM, _GPT2),
    "gpt2-classifier": ("gpt2", AutoModelForSequenceClassification, {**_GPT2, "n_inner": 48}),
    "bart": ("bart", AutoModelForSeq2SeqLM, _BART),
    "bart-classifier": ("bart", AutoModelForSequenceClassification, _BART),
    "marian": ("marian", AutoModelForSeq2SeqLM, _BART),
    "mbart": ("mbart", AutoModelForSeq2SeqLM, {**_BART, "scale_embedding": True}),
    "pegasus": ("pegasus", AutoModelForSeq2SeqLM, _BART),
    "t5": ("t5", AutoModelForSeq2SeqLM, _T5),
    "t5-gated": ("t5", AutoModelForSeq2SeqLM, {**_T5, "feed_forward_proj": "gated-gelu"}),
    "mt5": ("mt5", AutoModelForSeq2SeqLM, _T5),
}
OTHERS: dict[str, tuple[str, Any, Mapping[str, Any]]] = {
    "bert": ("bert", AutoModelForSequenceClassification, _COMMON),
    "roberta": ("roberta", AutoModelForSequenceClassification, _COMMON),
    "electra": ("electra", AutoModelForMaskedLM, {**_COMMON, "embedding_size": 16}),
    "distilbert": (
        "distilbert",
        AutoModelForSequenceClassification,
        {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 40},
    ),
    "llama": ("llama", AutoModelForCausalLM, {**_COMMON, "num_key_value_heads": 2}),
    "mistral": ("mistral", AutoModelForCausalLM, {**_COMMON, "num_key_value_heads": 2}),
    "qwen2": ("qwen2", AutoModelForCausalLM, {**_COMMON, "num_key_value_heads": 2}),
    "qwen3": (
        "qwen3",
        AutoModelForSequenceClassification,
        {**_COMMON, "num_key_value_heads": 2, "head_dim": HEAD},
    ),
}


GROUPED = ("llama", "mistral", "qwen2", "qwen3")
"""Families of ``OTHERS`` in which two query heads share a key and value head."""


def build(name: str) -> tuple[PreTrainedModel, type[Architecture]]:
    """A tiny model without zero biases and unit norms, and its architecture."""
    kind, head, values = {**MODELS, **OTHERS}[name]
    torch.manual_seed(0)
    model = head.from_config(AutoConfig.for_model(kind, **_PLAIN, **values)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    architecture = architecture_of(kind, ALL)
    assert architecture is not None
    return model, architecture


@torch.no_grad()
def run(model: PreTrainedModel) -> Tensor:
    ids = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}
    if model.config.is_encoder_decoder and "Classification" not in type(model).__name__:
        ids["decoder_input_ids"] = IDS[:, :4]
    logits: Tensor = model(**ids).logits
    return logits


def stacks(architecture: type[Architecture]) -> tuple[Stack, ...]:
    assert architecture.layout is not None
    return architecture.layout.stacks


def cut_all(model: PreTrainedModel, architecture: type[Architecture], heads: list[int]) -> None:
    """Keep these heads, and two thirds of the neurons, in every block of every stack."""
    for stack in stacks(architecture):
        for block, width in enumerate(surgery.feed_forward_widths(model, stack)):
            surgery.keep_feed_forward(model, stack, block, range(width * 2 // 3))
            for attention in stack.attentions:
                surgery.keep_heads(model, stack, attention, block, heads, HEAD)


def reload(model: PreTrainedModel, edits: list[Edit], folder: Path) -> PreTrainedModel:
    """The model of the saved config, shaped by the edits of its manifest, and filled."""
    save_model(model, folder)
    manifest = Manifest(Traits(), digest_files(folder), "step", "stage", edits=tuple(edits))
    manifest.write(folder)
    edits = list(Artifact.open(folder).manifest.edits)
    again = type(model)(AutoConfig.from_pretrained(folder))
    replay(again, edits)
    loaded = again.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    again.tie_weights()
    assert not loaded.unexpected_keys
    kept = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert {name: tuple(tensor.shape) for name, tensor in again.state_dict().items()} == kept
    return again.eval()


@pytest.mark.parametrize("name", [*MODELS, *GROUPED])
def test_keeping_everything_changes_nothing(name: str) -> None:
    model, architecture = build(name)
    before, config = run(model), model.config.to_dict()
    for stack in stacks(architecture):
        surgery.keep_layers(model, stack, range(3))
        for block, width in enumerate(surgery.feed_forward_widths(model, stack)):
            surgery.keep_feed_forward(model, stack, block, range(width))
            for attention in stack.attentions:
                surgery.keep_heads(model, stack, attention, block, range(4), HEAD)
    keep_hidden(model, architecture, range(32))
    assert settle(model, architecture) == [] and model.config.to_dict() == config
    assert torch.equal(run(model), before)


@pytest.mark.parametrize("name", [*MODELS, *GROUPED])
def test_cutting_silent_heads_and_neurons_changes_no_logits(name: str) -> None:
    model, architecture = build(name)
    with torch.no_grad():
        for stack in stacks(architecture):
            for block in surgery.blocks_of(model, stack):
                for attention in stack.attentions:
                    silence(block, attention.output, 2 * HEAD)
                silence(block, stack.feed_forward.output, 2 / 3)
    before = run(model)
    cut_all(model, architecture, [0, 1])
    torch.testing.assert_close(run(model), before, atol=1e-5, rtol=0)


def silence(block: nn.Module, path: str, start: float) -> None:
    """Zero the columns of a projection from ``start`` on: a place, or a share of all."""
    projection = projection_at(block, path)
    weight = projection.weight if isinstance(projection, nn.Linear) else projection.weight.T
    weight[:, start if start > 1 else int(weight.shape[1] * start) :] = 0


@pytest.mark.parametrize("name", [*MODELS, *GROUPED])
def test_a_cut_model_is_saved_and_loaded_to_equal_logits(name: str, tmp_path: Path) -> None:
    model, architecture = build(name)
    for stack in stacks(architecture):
        surgery.keep_layers(model, stack, [1, 2])
    cut_all(model, architecture, [2, 3] if name in GROUPED else [1, 3])
    keep_hidden(model, architecture, [i for i in range(32) if i % 4])
    edits = settle(model, architecture)
    assert torch.equal(run(reload(model, edits, tmp_path)), run(model))


def test_one_width_and_where_the_head_size_is_stated_one_head_count_need_no_edits() -> None:
    for name, ops in (("gpt2", {"heads"}), ("bart", {"heads"}), ("t5", set())):
        model, architecture = build(name)
        cut_all(model, architecture, [1, 3])
        assert {edit["op"] for edit in settle(model, architecture)} == ops
    assert model.config.num_heads == 2 and model.config.d_ff == 32


def test_stacks_have_widths_of_their_own_where_the_config_has_a_key_for_each() -> None:
    for name, count in (("bart", 0), ("t5", 3)):
        model, architecture = build(name)
        encoder, decoder = stacks(architecture)
        for block in range(3):
            surgery.keep_feed_forward(model, decoder, block, range(16))
        edits = settle(model, architecture)
        assert len(edits) == count
        assert surgery.feed_forward_widths(model, encoder) == [48] * 3
    model, architecture = build("bart")
    surgery.keep_layers(model, stacks(architecture)[1], [0])
    assert (model.config.encoder_layers, model.config.decoder_layers) == (3, 1)


def test_a_third_of_a_fused_projection_is_cut_like_the_others() -> None:
    model, _ = build("gpt2")
    (stack,) = stacks(Gpt2)
    fused = surgery.blocks_of(model, stack)[0].get_submodule("attn.c_attn")
    before = fused.weight.detach().clone()
    surgery.keep_heads(model, stack, stack.attention, 0, [0, 2], HEAD)
    rows = [*range(8), *range(16, 24)]
    kept = [start + row for start in (0, 32, 64) for row in rows]
    assert torch.equal(fused.weight, before[:, kept]) and fused.nf == 48


def test_the_position_biases_move_to_the_block_that_becomes_the_first() -> None:
    model, architecture = build("t5")
    encoder = stacks(architecture)[0]
    biases = surgery.blocks_of(model, encoder)[0].layer[0].SelfAttention.relative_attention_bias
    surgery.keep_layers(model, encoder, [2])
    first = surgery.blocks_of(model, encoder)[0].layer[0].SelfAttention
    assert first.relative_attention_bias is biases and first.has_relative_attention_bias


def test_heads_that_differ_between_stacks_are_edits_with_their_biases(tmp_path: Path) -> None:
    model, architecture = build("t5")
    decoder = stacks(architecture)[1]
    for block in range(3):
        surgery.keep_heads(model, decoder, decoder.attention, block, [0, 2, 3], HEAD)
    edits = settle(model, architecture)
    assert [(edit["op"], edit["keep"]) for edit in edits] == [("heads", 3)] * 3
    assert torch.equal(run(reload(model, edits, tmp_path)), run(model))


@pytest.mark.parametrize("name", [*MODELS, *OTHERS])
def test_cutting_hidden_places_that_are_always_zero_changes_no_logits(name: str) -> None:
    model, architecture = build(name)
    for module in model.modules():
        for epsilon in {"eps", "variance_epsilon"} & vars(module).keys():
            setattr(module, epsilon, 1e-12)
    zeroed, kept = list(range(0, 32, 4)), [i for i in range(32) if i % 4]
    zero_places(model, architecture, zeroed, kept)
    before = run(model)
    keep_hidden(model, architecture, kept)
    assert hidden_width(model, architecture) == len(kept)
    tolerance = 1e-5 * max(1.0, float(before.abs().max()))
    torch.testing.assert_close(run(model), before, atol=tolerance, rtol=0)


@torch.no_grad()
def zero_places(
    model: PreTrainedModel, architecture: type[Architecture], zeroed: list[int], kept: list[int]
) -> None:
    """Make these places of the hidden state zero, and the mean of the others, wherever a tensor
    makes it: in embeddings, and in the rows and the bias of what adds to it.

    Where a norm scales the places, the mean stays zero if it scales all alike."""
    for name, axes in hidden_axes(model, architecture).items():
        parameter = model.get_parameter(name)
        for axis in axes:
            parameter.index_fill_(axis, torch.tensor(zeroed), 0)
        if parameter.ndim == 1 and name.endswith(".weight"):
            parameter[kept] = 1.5
        elif axes[-1] == parameter.ndim - 1 or name.endswith(".weight"):
            axis = axes[0]
            mean = parameter.index_select(axis, torch.tensor(kept)).mean(axis, keepdim=True)
            part = parameter.index_select(axis, torch.tensor(kept)) - mean
            parameter.index_copy_(axis, torch.tensor(kept), part)


def test_a_hidden_width_that_the_config_can_express_needs_no_edit(tmp_path: Path) -> None:
    for name, stated in (("qwen3", True), ("electra", False), ("roberta", False)):
        model, architecture = build(name)
        keep_hidden(model, architecture, range(16))
        edits = settle(model, architecture)
        assert [edit["op"] for edit in edits] == ([] if stated else ["hidden"])
        assert model.config.hidden_size == (16 if stated else 32)
        again = reload(model, edits, tmp_path / name)
        assert torch.equal(run(again), run(model))
        keep_hidden(again, architecture, range(8))  # a cut model can be cut again
        assert hidden_width(again, architecture) == 8


def test_tied_embeddings_stay_tied() -> None:
    model, architecture = build("gpt2")
    keep_hidden(model, architecture, range(8))
    first, second = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert first is second and first.shape == (60, 8)


def test_the_example_of_the_hidden_width_is_right() -> None:
    torch.manual_seed(0)
    values = {**_COMMON, "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 1}
    model = AutoModelForMaskedLM.from_config(AutoConfig.for_model("bert", **_PLAIN, **values))
    keep_hidden(model, BertLike, range(6))
    block = model.bert.encoder.layer[0]
    shapes = {
        "attention.self.query": (8, 6),
        "attention.output.dense": (6, 8),
        "intermediate.dense": (6, 6),
        "output.dense": (6, 6),
        "output.LayerNorm": (6,),
    }
    assert {path: tuple(block.get_submodule(path).weight.shape) for path in shapes} == shapes


def test_a_family_without_a_layout_has_no_hidden_width_to_cut() -> None:
    class Bare(Architecture):
        name = "bare"
        model_types = ("bert",)

    with pytest.raises(CompressError, match="bare does not say where the hidden width is"):
        keep_hidden(build("bert")[0], Bare, [0])


class Doubling(BertLike):
    """A family whose plugin gives the pooler of a model twice the rows, which is a shape of its own
    making."""

    @classmethod
    def own_edits(cls, model: PreTrainedModel) -> list[Mapping[str, Any]]:
        rows = model.classifier.out_proj.weight.shape[0]
        return [{"op": "acme.rows", "rows": rows}] if rows != model.config.num_labels else []


def test_a_plugin_brings_edits_of_its_own_kind(tmp_path: Path) -> None:
    def rows(model: PreTrainedModel, edit: Mapping[str, Any]) -> None:
        model.classifier.out_proj = nn.Linear(32, edit["rows"])

    model, _ = build("roberta")
    assert settle(model, Doubling) == []
    rows(model, {"rows": 5})
    edits = settle(model, Doubling)
    assert edits == [{"op": "acme.rows", "rows": 5}]
    with pytest.raises(CompressError, match=r"knows the edit 'acme.rows'.* of acme-rows that"):
        replay(build("roberta")[0], edits, ["acme-rows"])
    register_edit("acme.rows", rows)
    assert torch.equal(run(reload(model, edits, tmp_path)), run(model))


def test_a_hidden_edit_that_does_not_fit_is_refused() -> None:
    model, architecture = build("llama")
    keep_hidden(model, architecture, range(16))
    model.config.hidden_size = 32
    edit: Edit = {"op": "hidden", "keep": 40, "axes": {"model.norm.weight": [0]}}
    with pytest.raises(CompressError, match=r"keeps 40 places of the axis 0 of model.norm.weight"):
        replay(build("llama")[0], [edit])
    assert LlamaLike.states_hidden
