"""A plugin's task whose models have a head of their own: it is trained, saved, opened, exported and
learnt from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from installing import install
from tiny import make_artifact, read, save_bert, task_named

from compress.artifact import Artifact
from compress.errors import UsageError
from compress.models import empty_model, load_config, open_model
from compress.registry.plugins import load_plugins
from compress.serving import open_predictor
from compress.task import RowError, Task

Row = dict[str, Any]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Task[Any]]:
    """The task."""
    folder = tmp_path_factory.mktemp("ordinal") / "site"
    install(folder, "compress-ordinal")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield task_named("ordinal")


def reviews(count: int, seed: int) -> list[Row]:
    """Texts of three words. Their level is the number of good ones, from 10 on."""
    draws = np.random.default_rng(seed)
    levels = [i % 4 for i in range(count)]
    words = [draws.permutation(["good"] * n + ["bad"] * (3 - n)) for n in levels]
    return [{"text": " ".join(w), "level": 10 + n} for w, n in zip(words, levels, strict=True)]


SPLITS = {"train": reviews(48, 1), "validation": reviews(12, 2), "test": reviews(12, 3)}
LEVELS = ("10", "11", "12", "13")


@pytest.fixture(scope="module")
def trained(task: Task[Any], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A tiny BERT that was trained with masks, and then for the task."""
    place = tmp_path_factory.mktemp("chain")
    (place / "model").mkdir()
    return make_artifact(
        place / "trained",
        "finetune",
        task,
        SPLITS,
        input=save_bert(place / "model", task_named("fill-mask"), ()),
        epochs=6,
        batch_size=8,
        learning_rate=2e-2,
        precision="fp32",
    )


def test_the_head_is_new_and_is_saved_with_the_levels(task: Task[Any], trained: Artifact) -> None:
    drawn = trained.manifest.notes["drawn"]
    assert "thresholds" in drawn and "score.weight" in drawn
    assert trained.manifest.labels == LEVELS
    model = open_model(trained, task)
    assert type(model).__name__ == "BertForOrdinal"
    assert model.config.architectures == ["BertForOrdinal"]
    assert trained.manifest.notes["best_validation"] < 1  # 1 is that of the middle level


def test_fresh_thresholds_are_zero(task: Task[Any], trained: Artifact) -> None:
    model = empty_model(task, load_config(trained.folder))
    assert torch.equal(model.get_parameter("thresholds"), torch.zeros(3))


def test_the_loss_is_that_of_each_yes_or_no(task: Task[Any], trained: Artifact) -> None:
    model, processor = open_model(trained, task), task.processor(trained.folder)
    rows = read(SPLITS["test"][:4], task, LEVELS)
    arrays = task.collate(task.features(rows, processor), processor)
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    with torch.no_grad():
        outputs = model(**batch)
    wanted = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]])
    probability = outputs.logits.sigmoid()
    by_hand = -(wanted * probability.log() + (1 - wanted) * (1 - probability).log()).mean()
    torch.testing.assert_close(task.loss(outputs, batch), by_hand)


def test_the_folder_answers_by_the_task_alone(trained: Artifact) -> None:
    predictor = open_predictor(trained.folder, load_plugins())
    (answer,) = predictor(["good bad good"])
    assert answer["text"] == "good bad good" and answer["level"] in LEVELS


def test_an_unknown_level_and_a_family_without_the_head_are_refused(task: Task[Any]) -> None:
    with pytest.raises(RowError, match="there is no level 7"):
        read([{"text": "good", "level": 7}], task, LEVELS)
    with pytest.raises(UsageError, match="ordinal has no head for gpt2"):
        task.model_class({"model_type": "gpt2"})


@pytest.mark.slow
def test_it_is_distilled_and_exported(task: Task[Any], trained: Artifact, tmp_path: Path) -> None:
    student = make_artifact(
        tmp_path / "student",
        "distill",
        task,
        SPLITS,
        input=trained,
        references={"teacher": trained},
        student={"layers": 1},
        epochs=1,
        precision="fp32",
    )
    exported = make_artifact(tmp_path / "onnx", "export.onnx", task, SPLITS, input=student)
    texts = [row["text"] for row in SPLITS["test"]]
    answers = [open_predictor(one.folder, load_plugins())(texts) for one in (student, exported)]
    assert answers[0] == answers[1]
