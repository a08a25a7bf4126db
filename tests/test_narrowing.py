"""A narrower hidden state, whose readers are mended, and embeddings of low rank."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, PreTrainedModel

from compress.architecture import Architecture
from compress.errors import CompressError, UsageError
from compress.hidden import hidden_width, keep_hidden
from compress.lowrank import LowRankHead, embedding_sizes, factor_embeddings
from compress.models import save_model
from compress.moments import Moments
from compress.narrowing import best_places, narrow, state_moments
from compress.registry.plugins import load_plugins
from compress.shapes import replay, settle
from compress.sizes import architecture_of

_SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "num_key_value_heads": 2,
    "vocab_size": 60,
}
IDS = torch.arange(4, 52).reshape(6, 8)


def built(kind: str = "bert", **values: Any) -> tuple[PreTrainedModel, type[Architecture]]:
    """A tiny language model without zero biases and unit norms, and its architecture."""
    torch.manual_seed(0)
    head: Any = AutoModelForMaskedLM if kind == "bert" else AutoModelForCausalLM
    model: PreTrainedModel = head.from_config(
        AutoConfig.for_model(kind, **{**_SHAPE, **values})
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    known = [entry.cls for entry in load_plugins().architectures.values()]
    architecture = architecture_of(kind, known)
    assert architecture is not None
    return model, architecture


@torch.no_grad()
def logits(model: PreTrainedModel, batch: Any = None) -> Tensor:
    found: Tensor = model(**(batch or {"input_ids": IDS})).logits
    return found


def narrowed(
    model: PreTrainedModel, architecture: type[Architecture], width: int, batch: Any
) -> list[int]:
    def run(some: Any) -> Tensor:
        return logits(model, some)

    readers = state_moments(model, architecture, [batch], run)
    kept = best_places(readers, width)
    narrow(model, architecture, kept, readers, [batch], run)
    return kept


def moments_of(states: Tensor) -> Moments:
    moments = Moments()
    moments.add(states[:5])
    moments.add(states[5:])
    return moments


def test_moments_are_those_of_all_states_and_regress_as_least_squares_do() -> None:
    torch.manual_seed(1)
    states = torch.randn(50, 3) @ torch.randn(3, 6) + torch.randn(6)
    moments = moments_of(states)
    torch.testing.assert_close(moments.covariance(), states.double().T.cov(correction=0))
    weights, shift = moments.regression([0, 2, 5], constant=True)
    told = states[:, [0, 2, 5]].double() @ weights.T + shift
    assert (told - states).abs().max() < 0.05 * states.std()  # three places tell all six
    without, none = moments.regression([0, 2, 5], constant=False)
    assert none.count_nonzero() == 0
    real = torch.linalg.lstsq(states[:, [0, 2, 5]].double(), states.double()).solution.T
    torch.testing.assert_close(without, real, atol=0.05, rtol=0.05)


def test_places_that_repeat_others_are_the_first_to_go() -> None:
    torch.manual_seed(2)
    model, architecture = built()
    readers = state_moments(model, architecture, [{"input_ids": IDS}], lambda b: logits(model, b))
    for name, moments in readers.moments.items():
        states = torch.randn(40, 32)
        states[:, 16:] = 2 * states[:, :16] + 1
        readers.moments[name].__init__()  # type: ignore[misc]
        moments.add(states)
    kept = best_places(readers, 16)
    assert sorted(place % 16 for place in kept) == list(range(16))
    assert kept == best_places(readers, 16)


@pytest.mark.parametrize("kind", ["bert", "qwen2"])
def test_a_mended_state_answers_nearer_to_the_whole_than_a_cut_one(kind: str) -> None:
    batch = {"input_ids": torch.randint(4, 60, (64, 12))}
    model, architecture = built(kind)
    whole = logits(model, batch)
    kept = narrowed(model, architecture, 20, batch)
    assert hidden_width(model, architecture) == 20
    cut, _ = built(kind)
    keep_hidden(cut, architecture, kept)
    mended, plain = ((logits(m, batch) - whole).norm() for m in (model, cut))
    assert mended < 0.9 * plain


def test_padding_says_nothing_of_a_state() -> None:
    model, architecture = built()
    mask = torch.ones(6, 8, dtype=torch.long)
    mask[:, 5:] = 0
    found = []
    for ids in (IDS, torch.where(mask.bool(), IDS, 3)):
        batch = {"input_ids": ids, "attention_mask": mask}
        found.append(state_moments(model, architecture, [batch], lambda b: logits(model, b)))
    for name, moments in found[0].moments.items():
        assert moments.count == 30
        torch.testing.assert_close(moments.total, found[1].moments[name].total)


def test_queries_keys_and_values_share_what_they_read() -> None:
    model, architecture = built()
    readers = state_moments(model, architecture, [{"input_ids": IDS}], lambda b: logits(model, b))
    parts = [f"bert.encoder.layer.0.attention.self.{name}" for name in ("query", "key", "value")]
    assert len({id(readers.of(name)) for name in parts}) == 1
    assert readers.of("no.such.layer") is None


def reloaded(model: PreTrainedModel, architecture: type[Architecture], folder: Path) -> Any:
    """The saved model, shaped by its edits and filled."""
    edits = settle(model, architecture)
    save_model(model, folder)
    again = type(model)(AutoConfig.from_pretrained(folder))
    replay(again, edits)
    loaded = again.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    again.tie_weights()
    assert not loaded.unexpected_keys
    return again.eval()


@pytest.mark.parametrize("kind", ["bert", "qwen2"])
def test_a_narrow_student_with_small_embeddings_is_saved_loaded_and_cut_again(
    kind: str, tmp_path: Path
) -> None:
    model, architecture = built(kind, tie_word_embeddings=True)
    narrowed(model, architecture, 20, {"input_ids": IDS})
    factor_embeddings(model, 6)
    again = reloaded(model, architecture, tmp_path / "first")
    assert torch.equal(logits(again), logits(model))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of a number that would have a gradient
        factor_embeddings(again, 3)
    narrowed(again, architecture, 10, {"input_ids": IDS})
    assert hidden_width(again, architecture) == 10
    third = reloaded(again, architecture, tmp_path / "second")
    assert torch.equal(logits(third), logits(again))


def test_embeddings_get_the_nearest_matrix_of_their_rank_and_the_head_follows() -> None:
    model, _ = built(hidden_size=16, intermediate_size=16)
    whole = model.get_input_embeddings().weight.detach().clone()
    kept = factor_embeddings(model, 5)
    embedding: Any = model.get_input_embeddings()
    made = embedding(torch.arange(60))
    u, s, v = torch.linalg.svd(whole)
    torch.testing.assert_close(made, u[:, :5] * s[:5] @ v[:5], atol=1e-5, rtol=1e-4)
    assert kept == pytest.approx(float((s[:5] ** 2).sum() / (s**2).sum()), rel=1e-5)
    head: Any = model.get_output_embeddings()
    assert isinstance(head, LowRankHead) and head.weight is embedding.weight
    state = torch.randn(2, 16)
    bias: Any = head.bias
    torch.testing.assert_close(head(state), state @ made.T + bias, atol=1e-5, rtol=1e-4)
    assert embedding_sizes(model) == (60, 16)
    names = {name for name, _ in model.named_parameters()}
    assert len([name for name in names if "projection_weight" in name]) == 1


def test_a_head_of_its_own_stays_whole() -> None:
    model, _ = built("qwen2", tie_word_embeddings=False)
    before: Any = model.get_output_embeddings()
    factor_embeddings(model, 5)
    assert model.get_output_embeddings() is before


def test_embeddings_that_would_not_be_smaller_are_refused() -> None:
    model, _ = built()
    with pytest.raises(UsageError, match=r"rank 21 are no smaller.* at most 20"):
        factor_embeddings(model, 21)


def test_an_edit_of_embeddings_that_a_model_does_not_have_is_refused() -> None:
    model, _ = built()
    with pytest.raises(CompressError, match="an edit names bert.words, which this model does not"):
        replay(model, [{"op": "low_rank", "rank": 4, "modules": ["bert.words"]}])
