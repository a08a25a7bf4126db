"""Label smoothing in ``finetune`` is that of torch, for all tasks that choose an answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from compress_training.smoothing import SmoothedLoss
from safetensors.torch import load_file
from tiny import (
    LABELS,
    TAGS,
    make_artifact,
    read,
    save_bert,
    sentences,
    tagged,
    task_named,
    tiny_bert,
    word_processor,
)
from torch import Tensor
from torch.nn.functional import cross_entropy
from writers import rows_for, save_writer, writer

from compress.errors import UsageError
from compress.models import forward
from compress.training.sharing import sum_of


def batch_of(task: Any, rows: Any, processor: Any) -> dict[str, Tensor]:
    arrays = task.collate(task.features(rows, processor), processor)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def smoothed(task: Any, model: Any, batch: Mapping[str, Tensor], share: float) -> float:
    return sum_of(SmoothedLoss(task, share)(model, dict(batch), torch.arange(4))).item()


@pytest.mark.parametrize("name", ["text-classification", "token-classification"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6])
def test_it_is_the_smoothing_of_torch(name: str, share: float) -> None:
    task, of_tokens = task_named(name), name == "token-classification"
    given = tagged(4, 0) if of_tokens else sentences(4, 0)
    names = TAGS if of_tokens else LABELS
    rows = read(given, task, names)
    model, batch = tiny_bert(task, names).eval(), batch_of(task, rows, word_processor())
    logits, labels = forward(model, batch)["logits"].flatten(0, -2), batch["labels"].flatten()
    expected = cross_entropy(logits, labels, label_smoothing=share)
    assert smoothed(task, model, batch, share) == pytest.approx(expected.item(), rel=1e-5)


def test_the_tokens_of_a_translation_are_smoothed(tmp_path: Path) -> None:
    task = task_named("translation", target_length=16)
    artifact, model = save_writer(tmp_path / "bart", "bart", task), writer("bart")
    rows = read(rows_for("bart", 4, 0), task, ())
    batch = batch_of(task, rows, task.processor(artifact.folder))
    logits, labels = forward(model, batch)["logits"].flatten(0, -2), batch["labels"].flatten()
    expected = cross_entropy(logits, labels, label_smoothing=0.2)
    assert smoothed(task, model, batch, 0.2) == pytest.approx(expected.item(), rel=1e-5)


def test_a_task_of_numbers_refuses_it() -> None:
    task = task_named("text-classification", kind="regression")
    rows = read([{"text": "good w1", "label": 0.5}, {"text": "bad w2", "label": 1.5}], task, ())
    batch = batch_of(task, rows, word_processor())
    with pytest.raises(UsageError, match=r"^label_smoothing: models of the task text-class"):
        smoothed(task, tiny_bert(task, ()), batch, 0.1)


def test_finetune_trains_with_it(tmp_path: Path) -> None:
    task = task_named("text-classification")
    given = save_bert(tmp_path / "given", task)
    splits = {"train": sentences(16, 0), "test": sentences(4, 1)}
    options = {"input": given, "epochs": 1, "learning_rate": 0.01}
    plain = make_artifact(tmp_path / "plain", "finetune", task, splits, **options)
    other = make_artifact(
        tmp_path / "other", "finetune", task, splits, **options, label_smoothing=0.5
    )
    files = [load_file(one.folder / "model.safetensors") for one in (plain, other)]
    assert any(not torch.equal(files[0][name], files[1][name]) for name in files[0])
