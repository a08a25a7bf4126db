"""Cutting the student from a model with an encoder and a decoder."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from compress_distill import Distill, DistillOptions, StudentOptions
from compress_distill.student import _cut
from transformers import PreTrainedModel, T5Config, T5ForConditionalGeneration

from compress.errors import NothingChanged, UsageError
from compress.registry.plugins import load_plugins


@pytest.fixture
def model() -> PreTrainedModel:
    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=20, d_model=8, d_kv=4, num_heads=2, d_ff=16, num_layers=4, pad_token_id=0
        )
    )


def cut(model: PreTrainedModel, layers: Any) -> list[Any]:
    context: Any = SimpleNamespace(
        architectures=[entry.cls for entry in load_plugins().architectures.values()]
    )
    return list(_cut(model, StudentOptions(layers=layers), context))


def test_each_stack_keeps_its_own_layers_and_one_that_is_not_named_all(
    model: PreTrainedModel,
) -> None:
    last = model.decoder.block[3]
    assert cut(model, {"decoder": 1}) == []
    assert (model.config.num_layers, model.config.num_decoder_layers) == (4, 1)
    assert list(model.decoder.block) == [last]
    assert cut(model, {"encoder": [0, 2], "decoder": 1}) == []
    assert (len(model.encoder.block), len(model.decoder.block)) == (2, 1)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (2, r"2 does not say whose layers.*give \{encoder: 2, decoder: 2\}"),
        ({"head": 1}, "this model has no head; what it has is called encoder, decoder"),
        ({"encoder": 5}, "5 does not fit a model of 4 layers"),
    ],
)
def test_what_does_not_fit_the_stacks_is_one_line(
    model: PreTrainedModel, layers: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        cut(model, layers)


def test_to_keep_all_layers_of_all_stacks_is_to_cut_nothing(model: PreTrainedModel) -> None:
    with pytest.raises(NothingChanged, match="cuts nothing from a model of 8 layers"):
        cut(model, {"encoder": 4, "decoder": 4})


def test_a_plan_refuses_names_of_stacks_for_a_model_with_one() -> None:
    options = DistillOptions(student=StudentOptions(layers={"encoder": 1}))
    (mistake,) = Distill.check_layers(options, 4)
    assert "has one stack of them" in mistake.message
    assert Distill.layers_left(options, 4) == 4 and Distill.back_off(options) is None
