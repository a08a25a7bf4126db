"""The loss of the few tokens that have a label equals transformers' own, and computes no other
logits."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from compress_tasks import FillMask
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedModel

from compress.models import forward, task_loss
from compress.task import IGNORED

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 60,
    "max_position_embeddings": 40,
}
FAMILIES = {
    "bert": {},
    "roberta": {},
    "electra": {"embedding_size": 16},
    "albert": {"embedding_size": 8},
    "deberta-v2": {"legacy": False},
    "modernbert": {"global_attn_every_n_layers": 1},
    "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 24},
    "mobilebert": {
        "embedding_size": 16,
        "intra_bottleneck_size": 8,
        "true_hidden_size": 8,
        "num_feedforward_networks": 1,
    },
    "bart": {
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24,
    },
}


def model_of(family: str) -> PreTrainedModel:
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **{**SIZES, "pad_token_id": 1, **FAMILIES[family]})
    model: PreTrainedModel = AutoModelForMaskedLM.from_config(config).eval()
    return model


def batch_of() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 60, (3, 11), generator=generator)
    mask = torch.ones_like(ids)
    mask[2, 7:] = 0
    labels = torch.full_like(ids, IGNORED)
    labels[0, 3], labels[0, 9], labels[2, 4] = 7, 8, 9
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def gradients(model: PreTrainedModel, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    loss.backward()
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_are_the_models_own(family: str) -> None:
    model, batch = model_of(family), batch_of()
    again = copy.deepcopy(model)
    loss = task_loss(FillMask(FillMask.Options()), model, batch)
    own = forward(again, batch).loss
    assert loss is not None and loss.item() == pytest.approx(own.item(), abs=1e-6)
    expected, got = gradients(again, own), gradients(model, loss)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, atol=1e-6, rtol=1e-4)


def test_logits_of_other_tokens_are_not_computed() -> None:
    model, batch = model_of("bert"), batch_of()
    seen: list[Any] = []
    decoder = model.get_output_embeddings()
    decoder.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    task_loss(FillMask(FillMask.Options()), model, batch)
    forward(model, batch)  # afterwards all of them are there again
    assert seen == [(3, 60), (3, 11, 60)]
