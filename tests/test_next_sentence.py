"""BERT's pretraining from documents to a model that is fine-tuned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import SHAPE, make_artifact, sentences, task_named

from compress.adapting import adapt_model
from compress.artifact import Artifact
from compress.models import open_model
from compress.task import Task

OPTIONS = {"epochs": 0.5, "batch_size": 8, "precision": "fp32"}


def documents(count: int, seed: int) -> list[dict[str, Any]]:
    """Documents of 2 to 9 sentences, each of one letter."""
    draws = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        letter = "abcdefgh"[draws.integers(8)]
        lines = [" ".join([letter] * int(n)) for n in draws.integers(1, 6, draws.integers(2, 9))]
        made.append({"text": ". ".join(lines) + "."})
    return made


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are slower with several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def task() -> Task[Any]:
    return task_named("next-sentence")


@pytest.fixture(scope="module")
def pretrained(task: Task[Any], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A fresh BERT with a tokenizer of its own."""
    splits = {"train": documents(12, 1), "validation": documents(4, 2), "test": documents(4, 3)}
    return make_artifact(
        tmp_path_factory.mktemp("pretrained") / "made",
        "pretrain",
        task,
        splits,
        fresh={"type": "bert", **SHAPE, "num_hidden_layers": 2},
        vocabulary=300,
        **OPTIONS,
    )


def test_a_fresh_model_is_pretrained_with_both_heads(task: Task[Any], pretrained: Artifact) -> None:
    assert pretrained.traits.task == "next-sentence"
    model = open_model(pretrained, task)
    assert type(model).__name__ == "BertForPreTraining"
    assert 0 <= pretrained.manifest.notes["best_validation"] < 1


@pytest.mark.parametrize(
    ("name", "drawn"),
    [("text-classification", ("classifier.bias", "classifier.weight")), ("fill-mask", ())],
)
def test_it_is_trained_on_for_another_task(
    name: str, drawn: tuple[str, ...], pretrained: Artifact
) -> None:
    task = task_named(name)
    labels = ("bad", "good") if drawn else ()
    adapted = adapt_model(pretrained, task, labels)
    assert adapted.drawn == drawn
    own = adapted.model.state_dict()
    first = open_model(pretrained, task_named("next-sentence")).state_dict()
    shared = own.keys() & first.keys()
    assert {key for key in shared if key.startswith("bert.")} and all(
        bool((own[key] == first[key]).all()) for key in shared
    )


def test_a_finetuning_of_it_ends_in_an_artifact(pretrained: Artifact, tmp_path: Path) -> None:
    task = task_named("text-classification")
    splits = {"train": sentences(16, 0), "test": sentences(4, 1)}
    made = make_artifact(tmp_path / "made", "finetune", task, splits, input=pretrained, **OPTIONS)
    assert made.manifest.labels == ("bad", "good")


def test_a_student_is_distilled_from_it(
    task: Task[Any], pretrained: Artifact, tmp_path: Path
) -> None:
    splits = {"train": documents(16, 4), "test": documents(4, 5)}
    made = make_artifact(
        tmp_path / "made",
        "distill",
        task,
        splits,
        input=pretrained,
        student={"layers": 1},
        losses=["logits", "hidden", "labels"],
        **OPTIONS,
    )
    assert made.traits.task == "next-sentence"


@pytest.mark.slow
def test_its_file_of_onnx_has_both_answers(task: Task[Any], pretrained: Artifact) -> None:
    splits = {"train": documents(8, 6), "test": documents(4, 7)}
    place = pretrained.folder.parents[1] / "onnx"
    made = make_artifact(place, "export.onnx", task, splits, input=pretrained)
    assert made.traits.format == "onnx"
