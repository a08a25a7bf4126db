"""Interrupted trainings of models that write end in the weights of unbroken ones."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from installing import install
from running import run, start_run, wait_for, workers_of
from tiny import read
from torch import Tensor
from trainings import OPTIONS, Given, Interrupted, equal
from writers import is_pair, rows_for, save_writer

from compress.artifact import MANIFEST, Artifact
from compress.models import open_model
from compress.task import Row, Task
from compress.training import TrainingOptions, fit, reporter

FAMILIES = ("llama", "bart")
"""A decoder, and a model with an encoder too."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums are taken in one order, so that equal trainings end in equal bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[bool, Task[Any]]]:
    """The tasks of decoders (False), and of models with an encoder too (True)."""
    folder = tmp_path_factory.mktemp("writing") / "site"
    install(folder, "compress-causal-lm", "compress-seq2seq")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        from compress_causal_lm import CausalLm
        from compress_seq2seq import Seq2Seq

        causal = CausalLm(CausalLm.Options(max_length=16))
        yield {
            False: causal,
            True: Seq2Seq(Seq2Seq.Options(max_length=16, target_length=4)),
        }


@dataclass
class Writing(Given):
    """The context of a training of a family."""

    family: str = ""
    labels: tuple[str, ...] = ()

    def rows(self, split: str) -> list[Row]:
        """26 rows for training, 5 for validation."""
        count, seed = {"train": (26, 0), "validation": (5, 3)}[split]
        return read(rows_for(self.family, count, seed), self.task, (), split)


def trained(given: Writing, source: Artifact) -> dict[str, Tensor]:
    """Weights of the model after a training."""
    model = open_model(source, given.task).train()
    processor = given.task.processor(source.folder)
    fit(model, given, TrainingOptions(**OPTIONS), processor=processor)
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("at", [5, 8])
def test_an_interrupted_training_ends_in_the_weights_of_an_unbroken_one(
    family: str, at: int, tasks: Mapping[bool, Task[Any]], tmp_path: Path
) -> None:
    task = tasks[is_pair(family)]
    source = save_writer(tmp_path / "model", family, task)
    unbroken = trained(Writing(tmp_path / "unbroken", task, family=family), source)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(reporter, "_CHECKPOINT_SECONDS", -1)
        trained(Writing(tmp_path / "work", task, family=family, stop_at=at), source)
    again = Writing(tmp_path / "work", task, family=family)
    assert equal(unbroken, trained(again, source))
    assert again.notes == [f"continuing from step {at - 1}"]


RECIPE = """\
task: {TASK: {max_length: 16}}
model: ./model
data: {source: csv, train: train.csv, test: test.csv}
stages:
  - finetune: {epochs: 25, batch_size: 8, precision: fp32, lora: {rank: 2}}
    name: taught
  - prune.structured: {feed_forward: 0.5, heads: 0.5, importance_examples: 8,
                       recover: {epochs: 5, batch_size: 8, precision: fp32}}
"""


def place_of(folder: Path, family: str, task: Task[Any]) -> Path:
    """A working directory with a recipe, its data and its model."""
    folder.mkdir()
    save_writer(folder / "model", family, task)
    (folder / "model" / MANIFEST).unlink()
    (folder / "recipe.yaml").write_text(RECIPE.replace("TASK", task.name), encoding="utf-8")
    for seed, (name, count) in enumerate((("train", 26), ("test", 6))):
        rows = rows_for(family, count, seed)
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_that_is_killed_with_its_worker_goes_on_to_the_same_weights(
    family: str, tasks: Mapping[bool, Task[Any]], tmp_path: Path
) -> None:
    task = tasks[is_pair(family)]
    toys = ("compress-causal-lm", "compress-seq2seq")
    environ = install(tmp_path / "site", *toys, without="meters,onnx")
    whole = run(place_of(tmp_path / "whole", family, task), "recipe.yaml", environ=environ)
    place = place_of(tmp_path / "place", family, task)
    process = start_run(place, "recipe.yaml", environ=environ)
    wait_for(lambda: list((place / "store" / "work").glob("*/checkpoints/*/complete.json")))
    workers = workers_of(process)
    process.kill()
    for worker in workers:
        worker.kill()
    process.wait()
    assert workers, "the step was over before it was killed"
    ended = run(place, "recipe.yaml", environ=environ)
    said = [event.get("text", "") for event in ended.events]
    assert any(text.startswith("continuing from step ") for text in said)
    assert any(text.startswith("LoRA in ") for text in said)
    assert ended.digests() == whole.digests()
