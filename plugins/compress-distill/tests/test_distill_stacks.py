"""Cutting the student from a model with an encoder and a decoder."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from compress_distill import Distill, DistillOptions, StudentOptions
from compress_distill.cutting import cut as cut_student
from torch.nn import ModuleList
from transformers import AutoConfig, AutoModelForSeq2SeqLM, PreTrainedModel

from compress.architecture import KnownSizes
from compress.errors import NothingChanged, UsageError
from compress.registry.plugins import load_plugins

_T5 = {"d_model": 8, "d_kv": 4, "num_heads": 2, "d_ff": 16, "num_layers": 4}
_BART = {
    "d_model": 8,
    "encoder_layers": 4,
    "decoder_layers": 4,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "max_position_embeddings": 16,
}
FAMILIES = {"t5": _T5, "mt5": _T5, "bart": _BART, "mbart": _BART, "marian": _BART}
T5_COUNTS, BART_COUNTS = ("num_layers", "num_decoder_layers"), ("encoder_layers", "decoder_layers")


def build(family: str) -> PreTrainedModel:
    config = AutoConfig.for_model(
        family, vocab_size=20, pad_token_id=0, eos_token_id=3, **FAMILIES[family]
    )
    built: PreTrainedModel = AutoModelForSeq2SeqLM.from_config(config)
    return built


@pytest.fixture
def model() -> PreTrainedModel:
    return build("t5")


def blocks(model: PreTrainedModel, part: str) -> ModuleList:
    """The blocks of a stack."""
    own = getattr(model.base_model, part)
    found: ModuleList = own.block if hasattr(own, "block") else own.layers
    return found


def counts(model: PreTrainedModel) -> tuple[int, int]:
    """The layers that the config states."""
    names = T5_COUNTS if model.config.model_type in ("t5", "mt5") else BART_COUNTS
    return getattr(model.config, names[0]), getattr(model.config, names[1])


def cut(model: PreTrainedModel, layers: Any) -> list[Any]:
    context: Any = SimpleNamespace(
        architectures=[entry.cls for entry in load_plugins().architectures.values()]
    )
    probe: Any = None  # nothing is measured
    return list(cut_student(model, StudentOptions(layers=layers), context, probe)[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_each_stack_keeps_its_own_layers_and_one_that_is_not_named_all(family: str) -> None:
    model = build(family)
    last, (first, _, third, _) = blocks(model, "decoder")[3], blocks(model, "encoder")
    assert cut(model, {"decoder": 1}) == []
    assert counts(model) == (4, 1) and list(blocks(model, "decoder")) == [last]
    assert cut(model, {"encoder": [0, 2], "decoder": 1}) == []
    assert counts(model) == (2, 1) and list(blocks(model, "encoder")) == [first, third]
    places = {m.layer_idx for m in blocks(model, "decoder").modules() if hasattr(m, "layer_idx")}
    assert places <= {0, None}


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (2, r"2 does not say whose layers.*give \{encoder: 2, decoder: 2\}"),
        ({"head": 1}, "the model has no stack 'head': it has encoder, decoder"),
        ({"encoder": 5}, "student.layers.encoder: 5 does not fit a model of 4 layers"),
        ({"decoder": [1, 4]}, r"student.layers.decoder: \[1, 4\] does not fit a model of 4"),
    ],
)
def test_what_does_not_fit_the_stacks_is_one_line(
    model: PreTrainedModel, layers: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        cut(model, layers)


def test_to_keep_all_layers_of_all_stacks_is_to_cut_nothing(model: PreTrainedModel) -> None:
    with pytest.raises(NothingChanged, match="cuts nothing from a model of encoder: 4 layers"):
        cut(model, {"encoder": 4, "decoder": 4})


def test_a_plan_knows_the_layers_of_each_stack_of_a_student() -> None:
    options = DistillOptions(student=StudentOptions(layers={"encoder": 1}))
    sizes = KnownSizes({"encoder": 4, "decoder": None}, 16, 20)
    left = KnownSizes({"encoder": 1, "decoder": None}, 16, 20)
    assert Distill.sizes_left(options, sizes) == left
    assert Distill.back_off(options) is None


@pytest.mark.parametrize(
    ("options", "option", "words"),
    [
        ({"student": {"hidden": 5000}}, "student.hidden", "not less than the input's hidden width"),
        ({"student": {"hidden": 0.999}}, "student.hidden", "width, 16"),
        ({"student": {"embeddings": 99999}}, "student.embeddings", "no smaller"),
        ({"student": {"embeddings": 9}}, "student.embeddings", "of width 16 no smaller"),
        ({"student": {"hidden": 8, "embeddings": 7}}, "student.embeddings", "of width 8"),
        (
            {"student": {"layers": 2}, "losses": [{"hidden": {"layers": {2: 0}}}]},
            "losses.0.hidden.layers",
            "the student has no layer 2",
        ),
        (
            {"student": {"layers": 2}, "losses": ["logits", {"attention": {"layers": {0: 4}}}]},
            "losses.1.attention.layers",
            "the teacher has no layer 4",
        ),
        (
            {
                "student": {"layers": 2},
                "phases": [{"losses": ["logits"]}, {"losses": [{"hidden": {"layers": {5: 0}}}]}],
            },
            "phases.1.losses.0.hidden.layers",
            "the student has no layer 5",
        ),
    ],
)
def test_a_plan_knows_what_a_student_cannot_be(options: Any, option: str, words: str) -> None:
    mistakes = Distill.check_sizes(DistillOptions(**options), KnownSizes({"layers": 4}, 16, 20))
    assert [mistake.option for mistake in mistakes] == [option] and words in mistakes[0].message


def test_what_fits_or_is_not_known_is_no_mistake() -> None:
    known, unknown = KnownSizes({"layers": 4}, 16, 20), KnownSizes({"layers": None})
    fits: list[Any] = [
        {"student": {"hidden": 0.5, "embeddings": 5}},
        {"student": {"embeddings": 8}},
        {"student": {"layers": 2}, "losses": [{"hidden": {"layers": {0: 1, 1: 3}}}]},
        {"teacher": "x", "losses": [{"relations": {"layers": {3: 11}}}]},
        {"student": {"type": "bert"}, "losses": [{"hidden": {"layers": {7: 0}}}]},
    ]
    for options in fits:
        assert not Distill.check_sizes(DistillOptions(**options), known)
        assert not Distill.check_sizes(DistillOptions(**options), unknown)
    left = Distill.sizes_left(DistillOptions(**fits[0]), known)
    assert left == KnownSizes({"layers": 4}, 8, 20)


def test_layers_of_two_stacks_are_not_compared_one_by_one() -> None:
    sizes = KnownSizes({"encoder": 4, "decoder": 4})
    for loss in ({"hidden": {"layers": "uniform"}}, {"relations": {"layers": {0: 0}}}):
        options = DistillOptions(student={"layers": {"encoder": 2}}, losses=[loss])
        (mistake,) = Distill.check_sizes(options, sizes)
        assert mistake.hint == "take layers: last" and "encoder: 2 layers" in mistake.message
