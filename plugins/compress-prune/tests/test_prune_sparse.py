"""Weights that become zero: which ones, and what the others become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compress_prune import sparse, zeroing
from compress_prune.unstructured import UnstructuredOptions, UnstructuredPruning
from tiny import make_artifact, save_bert, sentences, task_named
from torch import nn
from torch.nn.utils import prune

from compress.artifact import Artifact
from compress.errors import NothingChanged, UsageError
from compress.models import open_model

TASK = task_named("text-classification")
ROWS = {"train": sentences(24, 0), "test": sentences(4, 1)}


def drawn(rows: int, columns: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix, and the sum of x x^T of inputs that depend on each other."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(columns, columns, generator=generator)
    inputs = torch.randn(200, columns, generator=generator) @ mixing
    return torch.randn(rows, columns, generator=generator), inputs.T @ inputs


@pytest.mark.parametrize("share", [0.1, 0.37, 0.5, 0.9])
def test_magnitude_chooses_as_torch_does(share):
    weight, _ = drawn(7, 13)
    linear = nn.Linear(13, 7)
    linear.weight.data.copy_(weight)
    prune.l1_unstructured(linear, "weight", share)
    mask = sparse.lowest(weight.abs(), round(share * weight.numel()))
    assert torch.equal(mask, linear.weight_mask == 0)


def test_wanda_by_a_worked_case():
    weight = torch.tensor([[4.0, 0.0, 1.0, -1.0], [3.0, -2.0, -1.0, -3.0]])
    inputs = torch.tensor([[1.0, 2.0, 8.0, 3.0], [0.0, 0.0, 0.0, 4.0]])  # norms 1, 2, 8, 5
    scores = sparse.wanda_scores(weight, inputs.T @ inputs)
    assert torch.allclose(scores, torch.tensor([[4.0, 0, 8, 5], [3, 4, 8, 15]]))
    assert sparse.lowest_of_rows(scores, 0.5).tolist() == [
        [True, True, False, False],
        [True, True, False, False],
    ]
    assert sparse.lowest_of_groups(scores, 1, 2).tolist() == [
        [False, True, False, True],
        [True, False, True, False],
    ]


def solved(weight: torch.Tensor, gram: torch.Tensor, zeros: torch.Tensor) -> torch.Tensor:
    """What the rows become where ``zeros`` are removed one after the other, and columns to the
    right make up for each: by an inverse of the Hessian of the columns from there on."""
    made, hessian = weight.double().clone(), gram.double()
    hessian = hessian + 0.01 * hessian.diagonal().mean() * torch.eye(len(gram)).double()
    for row in range(len(made)):
        for i in range(made.shape[1]):
            if zeros[row, i]:
                inverse = torch.linalg.inv(hessian[i:, i:])
                made[row, i:] -= made[row, i] / inverse[0, 0] * inverse[0]
                made[row, i] = 0
    return made


@pytest.mark.parametrize("groups", [None, (2, 4)])
def test_sparsegpt_is_what_a_dense_solver_finds(groups):
    weight, gram = drawn(5, 12)
    made = sparse.sparsegpt(weight, gram, 0.5, groups)
    zeros = made == 0
    assert int(zeros.sum()) == 30
    assert torch.allclose(made.double(), solved(weight, gram, zeros), atol=1e-4)
    if groups:
        assert (zeros.view(5, 3, 4).sum(dim=2) == 2).all()
    masked = weight.masked_fill(zeros, 0.0)
    assert _harm(weight, made, gram) < 0.9 * _harm(weight, masked, gram)


def _harm(weight: torch.Tensor, made: torch.Tensor, gram: torch.Tensor) -> float:
    """The squared change of the outputs."""
    return float(((weight - made) @ gram * (weight - made)).sum())


def test_sparsegpt_counts_exactly_over_its_blocks():
    weight, gram = drawn(3, 300)
    gram[:, 7] = gram[7] = 0  # an input that is always zero
    made = sparse.sparsegpt(weight, gram + torch.eye(300), 0.37)
    assert int((made == 0).sum()) == round(0.37 * 900)
    assert int((sparse.sparsegpt(weight, gram, 0.37)[:, 7] == 0).sum()) == 3


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("sparse") / "source"
    folder.mkdir()
    return save_bert(folder, TASK, num_hidden_layers=2)


def zeroed(source: Artifact, folder: Path, **options: Any) -> Artifact:
    return make_artifact(folder, "prune.unstructured", TASK, ROWS, input=source, **options)


def layers_of(artifact: Artifact) -> dict[str, torch.Tensor]:
    """The matrices of the layers."""
    model = open_model(artifact, TASK)
    return {n: w for n, w in model.state_dict().items() if "layer." in n and w.ndim == 2}


@pytest.mark.parametrize(
    "options",
    [
        {"share": 0.5},
        {"share": 0.5, "criterion": "sparsegpt"},
        {"share": 0.5, "criterion": "magnitude"},
        {"share": 0.5, "criterion": "magnitude", "across": "model"},
        {"pattern": "2:4"},
    ],
    ids=str,
)
def test_half_of_the_layers_weights_become_zero(source, tmp_path, options):
    made, before = zeroed(source, tmp_path / "made", **options), layers_of(source)
    after = layers_of(made)
    total = sum(w.numel() for w in after.values())
    zeros = sum(int((w == 0).sum()) for w in after.values())
    assert made.manifest.notes == {"weights": total, "zeros": zeros} and zeros == total // 2
    each = {int((w == 0).sum()) * 2 == w.numel() for w in after.values()}
    assert each == {True} or options.get("across") == "model"
    if options.get("criterion") != "sparsegpt":
        assert all(torch.equal(w[w != 0], before[n][w != 0]) for n, w in after.items())
    whole, cut = (open_model(each, TASK).state_dict() for each in (source, made))
    assert all(torch.equal(whole[n], cut[n]) for n in whole if n not in after)


def test_wanda_measures_a_layer_behind_those_that_have_their_zeros(source, tmp_path):
    """The first matrix of the second layer is chosen by what it reads in the pruned model."""
    made = zeroed(source, tmp_path / "made", share=0.5, calibration_examples=6)
    pruned, name = open_model(made, TASK), "bert.encoder.layer.1.attention.self.query"
    read: list[torch.Tensor] = []
    module = pruned.get_submodule(name)
    module.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].flatten(0, -2)))
    processor = TASK.processor(source.folder)
    for i in np.sort(np.random.default_rng(5).permutation(24)[:6]):
        pruned(input_ids=torch.tensor([processor.ids(ROWS["train"][int(i)]["text"])[:16]]))
    gram = sum(x.T @ x for x in read)
    weight = layers_of(source)[f"{name}.weight"]
    expected = sparse.lowest_of_rows(sparse.wanda_scores(weight, gram), 0.5)
    assert torch.equal(module.weight == 0, expected)


class Block(nn.Module):
    """A block with a part that is never asked, as an expert may be."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.unasked = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.asked(states)


def test_a_matrix_that_read_nothing_is_named():
    block: Any = Block()
    batches = [{"states": torch.ones(1, 2, 4)}]
    with pytest.raises(UsageError, match="^unasked was given no input by 1 calibration examples"):
        zeroing._measured(block, block, batches)


def test_zeros_stay_while_the_other_weights_train(source, tmp_path):
    plain = layers_of(zeroed(source, tmp_path / "plain", share=0.5))
    made = zeroed(source, tmp_path / "made", share=0.5, recover={"epochs": 2, "precision": "fp32"})
    trained = layers_of(made)
    for name, weight in trained.items():
        assert torch.equal(weight == 0, plain[name] == 0)
        assert not torch.equal(weight, plain[name])
    assert made.manifest.notes["recover"]["steps"] == 2


def test_what_changes_nothing_or_does_not_fit_is_refused(source, tmp_path):
    with pytest.raises(NothingChanged, match="no weight of .* becomes zero"):
        zeroed(source, tmp_path / "none", share=0.001)
    with pytest.raises(UsageError, match="pattern: 2:5 does not fit .*, which has 16 inputs"):
        zeroed(source, tmp_path / "odd", pattern="2:5")


def test_options_that_exclude_each_other_are_refused():
    for options, option in (
        ({}, "share"),
        ({"share": 0.5, "pattern": "2:4"}, "share"),
        ({"pattern": "4:2"}, "pattern"),
        ({"pattern": "half"}, "pattern"),
        ({"share": 0.5, "across": "model"}, "across"),
        ({"pattern": "2:4", "criterion": "magnitude", "across": "model"}, "across"),
    ):
        (mistake,) = UnstructuredPruning.check(UnstructuredOptions(**options))
        assert mistake.option == option
    assert UnstructuredPruning.check(UnstructuredOptions(share=0.5)) == []


def test_half_the_share_is_tried_after_a_missed_budget():
    half = UnstructuredPruning.back_off(UnstructuredOptions(share=0.5))
    assert half == UnstructuredOptions(share=0.25)
    assert UnstructuredPruning.back_off(UnstructuredOptions(pattern="2:4")) is None
