"""Embeddings of a lower rank, nearest for the tokens of the training rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from compress_prune.lowrank import EmbeddingsOptions, EmbeddingsPruning
from tiny import make_artifact, save_bert, sentences, task_named, tiny_bert

from compress.artifact import Artifact
from compress.errors import NothingChanged, UsageError
from compress.lowrank import LowRankEmbedding, factor_embeddings
from compress.models import count_parameters, open_model

TASK = task_named("text-classification")
ROWS = {"train": sentences(24, 0), "test": sentences(4, 1)}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return save_bert(tmp_path_factory.mktemp("low") / "source", TASK)


def factored(source: Artifact, folder: Path, **options: Any) -> Artifact:
    return make_artifact(folder, "prune.embeddings", TASK, ROWS, input=source, **options)


def vectors(model: Any) -> torch.Tensor:
    """The vectors of all tokens."""
    embedding = model.get_input_embeddings()
    with torch.no_grad():
        return embedding(torch.arange(len(embedding.weight)))


def counted_errors(weights: torch.Tensor | None) -> torch.Tensor:
    """The squared error of each token's vector."""
    model = tiny_bert(TASK).eval()
    whole = vectors(model)
    factor_embeddings(model, 4, weights)
    return (vectors(model) - whole).square().sum(dim=1)


def test_frequent_tokens_lose_least_and_no_weights_lose_less_in_all() -> None:
    weights = torch.ones(len(counted_errors(None)))
    weights[5:9] = 1000.0
    plain, weighed = counted_errors(None), counted_errors(weights)
    assert weighed[5:9].sum() < plain[5:9].sum() / 10
    assert plain.sum() < weighed.sum()
    assert (weights * weighed).sum() < (weights * plain).sum()
    assert torch.allclose(plain, counted_errors(torch.full_like(weights, 7.0)), atol=1e-9)


@pytest.mark.parametrize("rank", [4, 0.25])
def test_the_model_opens_with_small_embeddings(
    rank: float, source: Artifact, tmp_path: Path
) -> None:
    made = factored(source, tmp_path / "made", rank=rank)
    model, whole = open_model(made, TASK), open_model(source, TASK)
    assert isinstance(model.get_input_embeddings(), LowRankEmbedding)
    assert made.traits.shape == "free" and count_parameters(model) < count_parameters(whole)
    notes = made.manifest.notes
    assert (notes["rank"], notes["width"]) == (4, 16) and 0 < notes["kept"] < 1
    # What the training rows have most of is nearest.
    plain = tiny_bert(TASK)
    plain.load_state_dict(whole.state_dict())
    factor_embeddings(plain, 4)
    ids = TASK.processor(source.folder).ids("good bad")
    errors = [(vectors(m) - vectors(whole))[ids].square().sum() for m in (model, plain)]
    assert errors[0] < errors[1]


def test_small_embeddings_learn_from_the_model_before(source: Artifact, tmp_path: Path) -> None:
    recover = {"epochs": 1, "batch_size": 8, "precision": "fp32", "distill": True}
    made = factored(source, tmp_path / "made", rank=4, recover=recover)
    assert made.manifest.notes["recover"]["steps"] == 3


def test_a_rank_that_makes_nothing_smaller_is_refused(source: Artifact, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="rank: 16 is not less than the rank"):
        factored(source, tmp_path / "whole", rank=16)
    with pytest.raises(UsageError, match="no smaller than these"):
        factored(source, tmp_path / "large", rank=15)
    with pytest.raises(NothingChanged, match="a share of 0.95 makes embeddings that are no small"):
        factored(source, tmp_path / "share", rank=0.95)


def test_half_of_what_a_share_takes_away_is_tried_after_a_missed_budget() -> None:
    less = EmbeddingsPruning.back_off(EmbeddingsOptions(rank=0.5))
    assert less == EmbeddingsOptions(rank=0.75)
    assert EmbeddingsPruning.back_off(EmbeddingsOptions(rank=4)) is None
