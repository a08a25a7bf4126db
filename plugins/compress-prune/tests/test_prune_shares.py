"""Shares by layer, and one share for all layers together."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from compress_prune import StructuredPruning
from compress_prune.budget import least_loss, part_of
from compress_prune.options import StructuredOptions
from compress_prune.shares import half
from pydantic import ValidationError
from tiny import LABELS, make_artifact, save_bert, sentences, task_named

from compress.architecture import KnownSizes
from compress.artifact import Traits
from compress.errors import UsageError
from compress.models import open_model
from compress.stage import OptionMistake

TASK = task_named("text-classification")
ROWS = {"train": sentences(24, 0), "test": sentences(4, 1)}
SHAPE = {"num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 32}


@pytest.mark.parametrize("seed", range(5))
def test_the_sizes_lose_the_least_of_all_that_fit_the_budget(seed: int) -> None:
    draws = np.random.default_rng(seed)
    parts = [part_of(draws.random(units), step) for units, step in ((12, 4), (7, 2), (5, 1))]
    for budget in range(7, 25):
        fits = [
            (sum(loss for _, loss in choice), sum(size for size, _ in choice))
            for choice in product(*(zip(p.sizes, p.losses, strict=True) for p in parts))
            if sum(size for size, _ in choice) <= budget
        ]
        sizes = least_loss(parts, budget)
        assert sizes is not None and sum(sizes) <= budget
        lost = [p.losses[list(p.sizes).index(s)] for p, s in zip(parts, sizes, strict=True)]
        assert sum(lost) == pytest.approx(min(fits)[0])


def test_a_budget_below_the_smallest_sizes_has_no_answer() -> None:
    parts = [part_of(np.ones(8), 4)] * 2
    assert least_loss(parts, 8) == [4, 4] and least_loss(parts, 7) is None
    assert least_loss(parts, 16) == [8, 8] and least_loss(parts, 100) == [8, 8]


def test_a_layer_gets_the_share_of_its_number_and_others_stay_whole(tmp_path: Path) -> None:
    source = save_bert(tmp_path / "bert", TASK, LABELS, **SHAPE)
    options = {"feed_forward": {"0": 0.5, 2: 0.75}, "heads": {"1": 0.5}}
    made = make_artifact(tmp_path / "cut", "prune.structured", TASK, ROWS, input=source, **options)
    assert made.manifest.notes["feed_forward"] == [16, 32, 8]
    assert made.manifest.notes["heads"] == [4, 2, 4]
    assert made.traits.shape == "free"
    assert open_model(made, TASK).num_parameters() == made.manifest.parameters


def test_a_free_shape_keeps_as_many_and_takes_them_where_they_matter_least(tmp_path: Path) -> None:
    source = save_bert(tmp_path / "bert", TASK, LABELS, **SHAPE)
    options = {"feed_forward": 0.5, "heads": 0.5, "shape": "free", "criterion": "fisher"}
    made = make_artifact(tmp_path / "cut", "prune.structured", TASK, ROWS, input=source, **options)
    widths, heads = made.manifest.notes["feed_forward"], made.manifest.notes["heads"]
    assert sum(widths) == 48 and sum(heads) == 6 and min(widths) >= 8 and min(heads) >= 1
    assert len(set(widths)) > 1 and made.traits.shape == "free"
    assert open_model(made, TASK).num_parameters() == made.manifest.parameters


def mistakes(model: dict[str, int], **options: object) -> list[OptionMistake]:
    chosen = StructuredOptions.model_validate(options)
    return StructuredPruning.check_sizes(chosen, KnownSizes(model))


def test_shares_of_layers_that_are_not_there_are_refused_before_any_work(tmp_path: Path) -> None:
    (found,) = mistakes({"layers": 3}, feed_forward={"3": 0.5})
    assert found.option == "feed_forward.3" and "no layer 3 in a model of 3 layers" in found.message
    assert mistakes({"layers": 3}, feed_forward={"2": 0.5}) == []
    (found,) = mistakes({"layers": 3}, layers=2, heads={"2": 0.5})
    assert "no layer 2 in a model of 2 layers" in found.message
    (found,) = mistakes({"encoder": 2, "decoder": 2}, heads={"0": 0.5})
    assert "do not say of which stack" in found.message
    source = save_bert(tmp_path / "bert", TASK, LABELS, **SHAPE)
    with pytest.raises(UsageError, match="no layer 7 in a model of 3 layers"):
        make_artifact(
            tmp_path / "cut",
            "prune.structured",
            TASK,
            ROWS,
            input=source,
            feed_forward={"7": 0.5},
        )


def test_a_free_shape_needs_one_number_to_share_out() -> None:
    by_layer = {"feed_forward": 0.5, "heads": {"0": 0.5}}
    for options in ({"layers": 2}, {"feed_forward": {"0": 0.5}}, by_layer):
        chosen = StructuredOptions.model_validate({**options, "shape": "free"})
        (found,) = StructuredPruning.check(chosen)
        assert found.option == "shape"
    for wrong in ({"first": 0.5}, {"-1": 0.5}, {"0": 1.0}, {}):
        with pytest.raises(ValidationError):
            StructuredOptions.model_validate({"feed_forward": wrong})


def test_options_for_units_are_refused_where_only_layers_are_cut() -> None:
    chosen = StructuredOptions(layers=2, tune=True, criterion="fisher")
    assert [one.option for one in StructuredPruning.check(chosen)] == ["tune", "criterion"]
    assert StructuredPruning.check(chosen.model_copy(update={"feed_forward": 0.5})) == []


def test_the_plan_expects_a_free_shape_where_layers_get_widths_of_their_own() -> None:
    for options in ({"feed_forward": {"0": 0.5}}, {"feed_forward": 0.5, "shape": "free"}):
        chosen = StructuredOptions.model_validate(options)
        assert StructuredPruning.produces(Traits(), chosen, TASK.name).shape == "free"


def test_a_further_try_halves_the_shares_of_layers() -> None:
    assert half({"0": 0.5, "1": 0.01}) == {"0": 0.25} and half({"0": 0.01}) is None
    chosen = StructuredOptions.model_validate({"feed_forward": {"0": 0.5}})
    less = StructuredPruning.back_off(chosen)
    assert less is not None and less.feed_forward == {"0": 0.25}
    assert StructuredOptions.model_validate(less.model_dump(mode="json")) == less
