"""Tuning what a cut leaves, by least squares."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from compress_prune.tuning import cut_projections, output_paths, tune
from tiny import LABELS, make_artifact, read, save_bert, sentences, task_named, tiny_bert
from torch import nn

from compress.architecture import AttentionLayout, FeedForwardLayout, Layout, Stack
from compress.artifact import Artifact
from compress.models import open_model, task_loss
from compress.surgery import keep_feed_forward, keep_heads

TASK = task_named("text-classification")
STACK = Stack(
    "encoder.layer",
    AttentionLayout(
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        (
            ("attention.self", "num_attention_heads", "heads"),
            ("attention.self", "all_head_size", "width"),
        ),
    ),
    FeedForwardLayout(("intermediate.dense",), "output.dense"),
)
LAYOUT = Layout((STACK,))
WIDE = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}


def batches(count: int = 8) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    made = []
    for _ in range(count):
        mask = torch.ones(8, 10, dtype=torch.long)
        mask[:4, 6:] = 0
        made.append(
            {
                "input_ids": torch.randint(5, 21, (8, 10), generator=generator),
                "attention_mask": mask,
                "labels": torch.randint(0, 2, (8,), generator=generator),
            }
        )
    return made


def with_twins() -> nn.Module:
    """A BERT in which the second half of the neurons and heads of each layer repeats the first."""
    model = tiny_bert(TASK, **WIDE).eval()
    for layer in model.bert.encoder.layer:
        own = layer.attention.self
        for linear in (layer.intermediate.dense, own.query, own.key, own.value):
            with torch.no_grad():
                half = linear.out_features // 2
                linear.weight[half:] = linear.weight[:half]
                linear.bias[half:] = linear.bias[:half]
    return model


def halved(whole: nn.Module) -> nn.Module:
    model = copy.deepcopy(whole)
    for i in range(2):
        keep_feed_forward(model, STACK, i, range(16))
        keep_heads(model, STACK, STACK.attention, i, [0, 1], 4)
    return model


def test_units_that_others_repeat_are_made_up_for() -> None:
    whole, data = with_twins(), batches()
    model = halved(whole)
    paths = cut_projections(model, whole, output_paths(model, LAYOUT))
    assert [path.removeprefix("bert.encoder.layer.") for path in paths] == [
        "0.attention.output.dense",
        "0.output.dense",
        "1.attention.output.dense",
        "1.output.dense",
    ]
    untuned = (model(**data[0]).logits - whole(**data[0]).logits).abs().max()
    missed = [tune(model, whole, path, data) for path in paths]
    tuned = (model(**data[0]).logits - whole(**data[0]).logits).abs().max()
    assert untuned > 0.05 and tuned < 1e-4 and max(missed) < 1e-6


def test_what_is_not_cut_stays_as_it_is() -> None:
    whole, data = tiny_bert(TASK, **WIDE).eval(), batches(1)
    model = copy.deepcopy(whole)
    paths = output_paths(model, LAYOUT)
    assert cut_projections(model, whole, paths) == []
    assert tune(model, whole, paths[0], data) == 0
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, whole.state_dict()[name]), name


@torch.no_grad()
def test_the_fit_is_that_of_a_plain_least_squares_and_padding_does_not_count() -> None:
    whole, data = tiny_bert(TASK, **WIDE).eval(), batches()
    model = copy.deepcopy(whole)
    keep_feed_forward(model, STACK, 0, range(0, 32, 2))
    path = "bert.encoder.layer.0.output.dense"
    given, wanted = [], []
    for each, into in ((model, given), (whole, wanted)):
        module = each.get_submodule(path)
        hook = module.register_forward_hook(
            lambda _, args, out, own=each, kept=into: kept.append(
                args[0] if own is model else out
            )
        )
        for batch in data:
            each(**batch)
            into[-1] = into[-1][batch["attention_mask"].bool()].detach()
        hook.remove()
    x = torch.cat(given).double()
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    y = torch.cat(wanted).double()
    best = y - x @ torch.linalg.lstsq(x, y).solution
    share = tune(model, whole, path, data)
    assert share == pytest.approx(float(best.square().sum() / y.square().sum()), rel=1e-2)
    module = model.get_submodule(path)
    rest = y - module(torch.cat(given)).double()
    assert float(rest.square().sum()) == pytest.approx(float(best.square().sum()), rel=1e-2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("trained")
    fresh = save_bert(folder / "fresh", TASK, LABELS, **WIDE)
    training = {"epochs": 6, "learning_rate": 5e-3, "batch_size": 16, "precision": "fp32"}
    rows = {"train": sentences(160, 0), "test": sentences(4, 1)}
    return make_artifact(folder / "made", "finetune", TASK, rows, input=fresh, **training)


@pytest.mark.parametrize("criterion", ["taylor", "fisher"])
def test_a_trained_model_of_half_the_width_is_nearer_to_the_whole_when_tuned(
    trained: Artifact, criterion: str, tmp_path: Path
) -> None:
    rows = {"train": sentences(64, 0), "test": sentences(64, 1)}
    processor = TASK.processor(trained.folder)
    features = TASK.features(read(rows["test"], TASK), processor)
    batch = {k: torch.from_numpy(v) for k, v in TASK.collate(features, processor).items()}
    whole = open_model(trained, TASK)(**batch).logits
    losses, distances = [], []
    for tuned in (False, None):
        made = make_artifact(
            tmp_path / str(tuned),
            "prune.structured",
            TASK,
            rows,
            input=trained,
            feed_forward=0.5,
            heads=0.5,
            criterion=criterion,
            tune=tuned,
        )
        assert ("missed" in made.manifest.notes) == (tuned is None)
        model = open_model(made, TASK)
        losses.append(float(task_loss(TASK, model, batch)))
        distances.append(float((model(**batch).logits - whole).square().mean()))
    assert distances[1] < 0.7 * distances[0] and losses[1] < losses[0]
