from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from compress_prune.choose import (
    goes_whole,
    heads_of,
    kept_units,
    kept_width,
    most_important,
    most_important_of_each,
)
from compress_prune.importance import (
    LAYER_CRITERIA,
    UNIT_CRITERIA,
    Gated,
    fisher,
    losses_without,
    taylor,
)
from compress_prune.options import StructuredOptions
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification

from compress.errors import CompressError


def own_loss(model, batch):
    """The loss that the model computes."""
    return model(**batch).loss


def build(cls=BertForSequenceClassification, labels=3):
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=24,
        vocab_size=50,
        num_labels=labels,
        initializer_range=0.3,
    )
    return cls(config).eval()


def gated_of(model):
    layers = model.bert.encoder.layer
    return [Gated(x.output.dense, 1) for x in layers] + [
        Gated(x.attention.output.dense, 8) for x in layers
    ]


def examples(count=6, length=7, tokens=False):
    generator = torch.Generator().manual_seed(1)
    shape = (count, length) if tokens else (count,)
    return {
        "input_ids": torch.randint(5, 50, (count, length), generator=generator),
        "attention_mask": torch.ones(count, length, dtype=torch.long),
        "labels": torch.randint(0, 3, shape, generator=generator),
    }


def split(batch, size):
    count = len(batch["input_ids"])
    return [{k: v[i : i + size] for k, v in batch.items()} for i in range(0, count, size)]


def test_importance_agrees_with_the_slope_of_the_loss_in_each_gate():
    model = build().double()
    data = examples(2)
    scores = taylor(model, gated_of(model), split(data, 2), own_loss)
    eps = 1e-5

    def loss_with(weight, columns, factor, example):
        with torch.no_grad():
            saved = weight[:, columns].clone()
            weight[:, columns] *= factor
            loss = model(**split(data, 1)[example]).loss.item()
            weight[:, columns] = saved
        return loss

    for score, gated, unit in zip(scores, gated_of(model), (3, 20, 1, 2), strict=True):
        columns = slice(unit * gated.unit_size, (unit + 1) * gated.unit_size)
        slopes = [
            (
                loss_with(gated.projection.weight, columns, 1 + eps, i)
                - loss_with(gated.projection.weight, columns, 1 - eps, i)
            )
            / (2 * eps)
            for i in range(2)
        ]
        assert score[unit].item() == pytest.approx(
            np.mean(np.abs(slopes)), rel=1e-5
        )  # measured: 1.4e-7 at most


def test_the_fisher_criterion_is_half_the_mean_square_of_the_slopes_of_single_examples():
    model, data = build().double(), examples(6)
    found = fisher(model, gated_of(model), split(data, 3), own_loss)
    alone = [taylor(model, gated_of(model), [one], own_loss) for one in split(data, 1)]
    for i, score in enumerate(found):
        slopes = torch.stack([each[i] for each in alone])
        torch.testing.assert_close(score, (slopes**2 / 2).mean(0))


@pytest.mark.parametrize(
    ("cls", "tokens"), [(BertForSequenceClassification, False), (BertForTokenClassification, True)]
)
def test_importance_does_not_depend_on_the_batches(cls, tokens):
    model, data = build(cls), examples(tokens=tokens)
    if tokens:
        data["labels"][0, 2:] = -100
    one, all_at_once = (taylor(model, gated_of(model), split(data, n), own_loss) for n in (1, 6))
    for a, b in zip(one, all_at_once, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-5, atol=1e-8)  # measured: 1e-6 relative at most


def test_a_unit_with_zero_output_weights_has_no_importance():
    model = build()
    layer = model.bert.encoder.layer[1]
    with torch.no_grad():
        layer.output.dense.weight[:, [2, 7]] = 0
        layer.attention.output.dense.weight[:, 8:16] = 0
    scores = taylor(model, gated_of(model), split(examples(), 3), own_loss)
    assert scores[1].nonzero().flatten().tolist() == [i for i in range(24) if i not in (2, 7)]
    assert scores[3].nonzero().flatten().tolist() == [0, 2, 3]
    assert all(s.dtype == torch.float64 for s in scores)


def test_measuring_leaves_the_model_as_it_was():
    model, data = build(), examples()
    before = model(**data).logits
    taylor(model, gated_of(model), [data], own_loss)
    list(losses_without(model, list(model.bert.encoder.layer), [data], own_loss))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(model(**data).logits, before)


def test_hooks_are_removed_when_measuring_fails():
    model, data = build(), examples()
    del data["labels"]
    with pytest.raises(CompressError, match="no labels"):
        taylor(model, gated_of(model), [data], own_loss)
    with pytest.raises(CompressError, match="no labels"):
        list(losses_without(model, list(model.bert.encoder.layer), [data], own_loss))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_loss_that_is_not_finite_is_refused():
    model = build()
    with torch.no_grad():
        model.classifier.bias[0] = float("nan")
    with pytest.raises(CompressError, match="nan"):
        taylor(model, gated_of(model), [examples()], own_loss)


def test_the_loss_without_a_block_is_that_of_the_model_built_without_it():
    model, data = build(), examples()
    found = list(losses_without(model, list(model.bert.encoder.layer), split(data, 4), own_loss))
    for i, loss in enumerate(found):
        short = build()
        del short.bert.encoder.layer[i]
        assert loss == pytest.approx(short(**data).loss.item(), rel=1e-6)  # measured: 5e-8


def test_the_criteria_of_the_stage_stand_in_the_tables_under_their_own_names():
    assert StructuredOptions.layer_criterion in LAYER_CRITERIA
    named = StructuredOptions.model_fields["criterion"].annotation
    assert set(get_args(named)) == set(UNIT_CRITERIA)
    for name, criterion in {**UNIT_CRITERIA, **LAYER_CRITERIA}.items():
        assert criterion.__name__ == name and criterion.__doc__


def test_a_share_near_zero_keeps_everything_and_widths_are_multiples_of_eight():
    assert kept_width(1536, 0.001) == 1536 and kept_units(12, 0.01) == 12
    assert [kept_width(1536, s) for s in (0.5, 0.33, 0.999)] == [768, 1032, 8]
    assert kept_width(30, 0.01) == 30 and kept_width(6, 0.9) == 6
    assert [kept_units(12, s) for s in (0.5, 0.33, 0.999)] == [6, 8, 1]


def test_the_most_important_units_are_kept_in_order_and_ties_keep_the_first():
    assert most_important([0.1, 3.0, 0.2, 2.0], 2) == [1, 3]
    assert most_important(np.zeros(5), 3) == [0, 1, 2]
    assert heads_of([0, 2], 3) == [0, 1, 2, 6, 7, 8]


def test_where_no_whole_group_would_go_as_many_heads_of_each_do() -> None:
    scores = np.array([5.0, 1, 3, 4, 0, 2, 6, 7])
    assert not goes_whole(2, 4, 0.25) and goes_whole(2, 4, 0.5) and goes_whole(8, 1, 0.01)
    assert most_important_of_each(scores, 4, 3) == [0, 2, 3, 5, 6, 7]
    assert most_important_of_each(scores, 4, 1) == [0, 7]
