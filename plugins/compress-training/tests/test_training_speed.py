"""What makes a training quicker on a processor changes how it computes, not what it learns."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny import task_named, tiny_bert
from torch.nn import Dropout, functional

from compress.training.speed import dropout, quick_on_processor


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes tiny models, on a machine that seems to have no GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    task = task_named("text-classification")
    return lambda **options: tiny_bert(task, **options)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_drops_the_share_and_scales_what_it_keeps(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    ones = torch.ones(400, 1001, dtype=dtype)
    dropped = dropout(ones, p)
    kept = dropped != 0
    deviation = (p * (1 - p) / ones.numel()) ** 0.5
    assert (~kept).double().mean().item() == pytest.approx(p, abs=5 * deviation)
    assert dropped[kept].unique().tolist() == pytest.approx([1 / (1 - p)], rel=4e-3)
    by_place = (~kept).double().view(-1)[: ones.numel() // 4 * 4].view(-1, 4).mean(0)
    assert by_place.tolist() == pytest.approx([p] * 4, abs=10 * deviation)


def test_dropout_draws_from_the_generator_of_torch_alone() -> None:
    ones = torch.ones(33, 7)
    torch.manual_seed(3)
    first, second = dropout(ones), dropout(ones)
    torch.manual_seed(3)
    assert torch.equal(dropout(ones), first)
    assert not torch.equal(first, second)


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    kept = (dropout(torch.ones(1_000_000), 0.5) != 0).double() - 0.5
    for distance in (1, 2, 3, 4, 8, 1001):
        assert abs((kept[:-distance] * kept[distance:]).mean().item()) < 0.002


def test_the_gradient_of_dropout_is_its_mask() -> None:
    given = torch.randn(50, 3, requires_grad=True)
    made = dropout(given, 0.4)
    made.sum().backward()
    assert given.grad is not None
    assert torch.allclose(given.grad * given, made)


def test_dropout_in_place_and_where_nothing_is_drawn() -> None:
    given = torch.randn(40)
    copy = given.clone()
    assert dropout(copy, 0.5, inplace=True) is copy
    assert not torch.equal(copy, given)
    assert dropout(given, 0.5, training=False) is given
    assert torch.equal(dropout(given, 0.0), given)
    assert not dropout(given, 1.0).any()
    with pytest.raises(ValueError, match="between 0 and 1"):
        dropout(given, -0.5)


@pytest.mark.parametrize(
    ("in_bf16", "longest", "dropped", "within"),
    [
        (True, 256, 0.0, "eager"),
        (True, 257, 0.0, "sdpa"),
        (True, 257, 0.1, "eager"),
        (False, 8, 0.1, "sdpa"),
    ],
)
def test_attention_is_unfused_where_that_is_quicker(
    model: Callable[..., Any], in_bf16: bool, longest: int, dropped: float, within: str
) -> None:
    own = model(attention_probs_dropout_prob=dropped)
    stock = functional.dropout
    with quick_on_processor(own, in_bf16, longest):
        assert own.config._attn_implementation == within
        assert functional.dropout is dropout
    assert own.config._attn_implementation == "sdpa"
    assert functional.dropout is stock


def test_an_error_leaves_no_trace(model: Callable[..., Any]) -> None:
    own, stock = model(), functional.dropout
    with pytest.raises(RuntimeError), quick_on_processor(own, True, 8):
        raise RuntimeError
    assert (own.config._attn_implementation, functional.dropout) == ("sdpa", stock)


def test_on_a_gpu_nothing_changes(
    model: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, stock = model(), functional.dropout
    monkeypatch.setattr(torch, "cuda", SimpleNamespace(is_available=lambda: True))
    with quick_on_processor(own, True, 8):
        assert (own.config._attn_implementation, functional.dropout) == ("sdpa", stock)


def test_layers_use_it_within_the_context(model: Callable[..., Any]) -> None:
    layer, ones = Dropout(0.5), torch.ones(8, 8)
    with quick_on_processor(model(), True, 8):
        torch.manual_seed(0)
        made = layer(ones)
        torch.manual_seed(0)
        assert torch.equal(made, dropout(ones))
