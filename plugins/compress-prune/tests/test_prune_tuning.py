"""Tuning what a cut leaves, by least squares."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from compress_prune.tuning import _RIDGES, _Sums, cut_projections, output_paths, tune
from tiny import (
    LABELS,
    Rows,
    make_artifact,
    read,
    sentences,
    task_named,
    tiny_bert,
    word_processor,
)
from torch import nn

from compress.architecture import AttentionLayout, FeedForwardLayout, Layout, Stack
from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.models import open_model, save_model, task_loss
from compress.processor import TextProcessor
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
            lambda _, args, out, own=each, kept=into: kept.append(args[0] if own is model else out)
        )
        for batch in data:
            each(**batch)
            into[-1] = into[-1][batch["attention_mask"].bool()].detach()
        hook.remove()
    y = torch.cat(wanted).double()
    size = y.norm(dim=1, keepdim=True)
    x = torch.cat(given).double()
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1) / size
    best = y / size - x @ torch.linalg.lstsq(x, y / size).solution
    share = tune(model, whole, path, data)
    # A ridge that is best on other tokens misses a little more on these.
    least = float(best.square().sum()) / len(y)
    assert least <= share < 1.1 * least
    rest = (y - model.get_submodule(path)(torch.cat(given)).double()) / size
    assert float(rest.square().sum()) / len(y) == pytest.approx(share, rel=1e-4)


@torch.no_grad()
def test_a_few_tokens_with_huge_outputs_do_not_decide() -> None:
    """The unit that is cut speaks for one token in twenty, a thousand times as loud."""
    whole, data = tiny_bert(TASK, **WIDE).eval(), batches()
    layer = whole.bert.encoder.layer[0]
    loud = layer.intermediate.dense
    loud.bias[0] -= _outputs(whole, data, "intermediate.dense")[:, 0].quantile(0.95)
    before = _outputs(whole, data)
    loud.weight[0], loud.bias[0] = 1e3 * loud.weight[0], 1e3 * loud.bias[0]
    model = copy.deepcopy(whole)
    keep_feed_forward(model, STACK, 0, range(1, 32))
    tune(model, whole, "bert.encoder.layer.0.output.dense", data)
    quiet = _outputs(whole, data).norm(dim=1) < 5 * before.norm(dim=1).median()
    rest = (_outputs(model, data) - _outputs(whole, data))[quiet].norm(dim=1)
    assert 0.2 < quiet.float().mean() < 1
    assert (rest / _outputs(whole, data)[quiet].norm(dim=1)).median() < 0.2


def _outputs(
    model: nn.Module, data: list[dict[str, torch.Tensor]], part: str = "output.dense"
) -> torch.Tensor:
    kept: list[torch.Tensor] = []
    hook = (
        model.bert.encoder.layer[0]
        .get_submodule(part)
        .register_forward_hook(lambda _, args, out: kept.append(out))
    )
    for batch in data:
        model(**batch)
        kept[-1] = kept[-1][batch["attention_mask"].bool()]
    hook.remove()
    return torch.cat(kept)


def test_a_trained_model_of_half_the_width_is_nearer_to_the_whole_when_tuned(
    tmp_path: Path,
) -> None:
    whole, rows = tiny_bert(TASK, **WIDE), {"train": sentences(64, 0), "test": sentences(64, 1)}
    processor = word_processor()
    train, test = (_batch(rows[split], processor) for split in ("train", "test"))
    optimizer = torch.optim.AdamW(whole.parameters(), 5e-3)
    for _ in range(25):
        optimizer.zero_grad()
        task_loss(TASK, whole, train).backward()
        optimizer.step()
    save_model(whole.eval(), tmp_path / "trained")
    processor.save(tmp_path / "trained")
    Manifest(
        Traits(task=TASK.name), digest_files(tmp_path / "trained"), "m", "import", labels=LABELS
    ).write(tmp_path / "trained")
    source = Artifact.open(tmp_path / "trained")
    wanted = open_model(source, TASK)(**test).logits
    distances = []
    for is_tuned in (False, True):
        made = make_artifact(
            tmp_path / str(is_tuned),
            "prune.structured",
            TASK,
            rows,
            input=source,
            feed_forward=0.5,
            heads=0.5,
            criterion="fisher",
            tune=is_tuned,
        )
        assert ("missed" in made.manifest.notes) == is_tuned
        logits = open_model(made, TASK)(**test).logits
        distances.append(float((logits - wanted).detach().square().mean()))
    assert distances[1] < 0.7 * distances[0]


def _batch(rows: Rows, processor: TextProcessor) -> dict[str, torch.Tensor]:
    arrays = TASK.collate(TASK.features(read(rows, TASK), processor), processor)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def test_a_ridge_holds_a_fit_to_fewer_tokens_than_there_are_inputs() -> None:
    generator = torch.Generator().manual_seed(0)
    given = nn.functional.gelu(torch.randn(300, 384, generator=generator))
    wanted = torch.randn(300, 8, generator=generator)
    sums = _Sums()
    sums.add(given, wanted, wanted)
    for ridge in _RIDGES:
        assert 0 <= sums.left(sums.change(ridge)) < 1
