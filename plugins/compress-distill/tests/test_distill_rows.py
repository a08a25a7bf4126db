"""Rows that are added to those of the training split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from compress_distill import Distill, DistillOptions
from compress_distill.augmenting import varied_copies
from compress_distill.options import AugmentOptions
from tiny import (
    LABELS,
    TAGS,
    MemorySource,
    asking,
    make_artifact,
    read,
    save_bert,
    sentences,
    tagged,
    task_named,
    word_processor,
)

from compress.distilling.loss import DistillationLoss
from compress.errors import UsageError
from compress.models import open_model
from compress.store.prepared import Prepared, prepare
from compress.store.unlabelled import prepare_unlabelled
from compress.teacher import Asked, teacher_outputs
from compress.training.batches import BucketedBatches

CLASSIFY = task_named("text-classification")
TAG = task_named("token-classification")
SPLITS = {"train": sentences(20, 0), "test": sentences(6, 1)}
TAG_SPLITS = {"train": tagged(20, 0), "test": tagged(6, 1)}
OPTIONS: dict[str, Any] = {"epochs": 1, "batch_size": 4, "precision": "fp32"}


def texts(count: int) -> list[dict[str, Any]]:
    return [{"text": row["text"]} for row in sentences(count, 8)]


@pytest.mark.parametrize("kind", ["text", "words"])
def test_a_student_learns_from_text_without_labels(kind: str, tmp_path: Path) -> None:
    given = save_bert(tmp_path / "given", TAG, TAGS, num_hidden_layers=2)
    more = texts(9)
    if kind == "words":
        more = [{"tokens": row["text"].split()} for row in more]
    made = make_artifact(
        tmp_path / "made",
        "distill",
        TAG,
        TAG_SPLITS,
        input=given,
        student={"layers": 1},
        without_targets={"unlabelled": more},
        **OPTIONS,
    )
    # Five batches of the 20 training rows, and three of the 9 others, which are not mixed.
    assert made.manifest.notes["steps"] == 8
    assert made.manifest.notes["unlabelled"] == 9


def test_labels_do_not_count_where_the_target_is_no_truth(tmp_path: Path) -> None:
    rows = read(sentences(4, 3), CLASSIFY)
    artifact = save_bert(tmp_path / "a", CLASSIFY)
    outputs = teacher_outputs(
        asking(CLASSIFY, rows, tmp_path / "store"), artifact, "train", Asked(), word_processor()
    )
    arrays = CLASSIFY.collate(CLASSIFY.features(rows, word_processor()), word_processor())
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    counts = {}
    for truth in ((), [True] * 4, [False] * 4):
        loss = DistillationLoss(outputs, both(), CLASSIFY, None, truth)
        terms = loss(open_model(artifact, CLASSIFY), dict(batch), torch.arange(4))
        counts[tuple(truth)] = [term.count for term in terms]
    assert counts[()] == counts[(True,) * 4] == [4, 4]
    assert counts[(False,) * 4] == [4, 0]


def both() -> Any:
    return DistillOptions(teacher="x", losses=["logits", {"labels": {"weight": 0.5}}]).losses


def test_rows_of_two_groups_are_never_in_one_batch() -> None:
    groups = [i % 3 == 0 for i in range(50)]
    batches = list(BucketedBatches([5] * 50, 8, 1, groups))
    assert sorted(place for batch in batches for place in batch) == list(range(50))
    assert all(len({groups[place] for place in batch}) == 1 for batch in batches)


@pytest.mark.parametrize(
    ("kind", "prediction", "label"),
    [
        ("single", {"label": 1, "score": 0.9}, 1),
        ("multi", {"labels": [1], "scores": [0.9], "probabilities": [0.1, 0.9]}, [0, 1]),
        ("regression", {"value": 0.5}, 0.5),
    ],
)
def test_an_answer_of_a_classifier_becomes_a_label(
    kind: str, prediction: dict[str, Any], label: Any
) -> None:
    task = task_named("text-classification", kind=kind)
    row = task.with_answer({"text": "good"}, prediction)
    assert row == {"text": "good", "label": label}
    assert "labels" in task.features([row], word_processor())[0]


def test_rows_without_targets_are_those_of_requests(tmp_path: Path) -> None:
    source = MemorySource({"train": [*texts(3), {"text": "a b", "label": "unknown"}]})
    prepare_unlabelled(source, TAG, tmp_path)
    rows = Prepared(tmp_path, "").rows("train")
    assert [row["tokens"] for row in rows] == [
        row["text"].split() for row in source.splits["train"]
    ]
    assert rows[0]["id"] == "train-0" and "tags" not in rows[0]


def test_rows_without_targets_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    rows = [*texts(2), {"text": " "}, {"text": "good"}, {"text": None}]
    with pytest.raises(UsageError) as caught:
        prepare_unlabelled(MemorySource({"train": rows}), CLASSIFY, tmp_path)
    assert [mistake.where for mistake in caught.value.mistakes] == ["train:2", "train:4"]
    with pytest.raises(UsageError, match="has no text"):
        prepare_unlabelled(MemorySource({"train": [{"body": "a"}]}), CLASSIFY, tmp_path)
    with pytest.raises(UsageError, match="there are no rows"):
        prepare_unlabelled(MemorySource({"test": texts(1)}), CLASSIFY, tmp_path)


def test_labels_are_those_of_the_training_rows(tmp_path: Path) -> None:
    given = save_bert(tmp_path / "given", CLASSIFY, num_hidden_layers=2)
    made = make_artifact(
        tmp_path / "made",
        "distill",
        CLASSIFY,
        SPLITS,
        input=given,
        student={"layers": 1},
        losses=["logits", {"labels": {"weight": 0.5}}],
        without_targets={"unlabelled": texts(4)},
        **OPTIONS,
    )
    assert made.manifest.labels == LABELS and made.manifest.notes["steps"] == 6


def test_a_student_learns_from_varied_copies(tmp_path: Path) -> None:
    given = save_bert(tmp_path / "given", TAG, TAGS, num_hidden_layers=2)
    made = make_artifact(
        tmp_path / "made",
        "distill",
        TAG,
        TAG_SPLITS,
        input=given,
        student={"layers": 1},
        augment={"copies": 3},
        without_targets={"unlabelled": texts(9)},
        **OPTIONS,
    )
    # Ten of the 20 training rows have an entity. All targets but those of the 9 others are true:
    # 13 batches of 50 rows, and 3.
    assert made.manifest.notes["varied_copies"] == 30
    assert made.manifest.notes["steps"] == 16


def test_copies_differ_from_round_to_round_and_not_from_read_to_read(tmp_path: Path) -> None:
    prepare(MemorySource({"train": tagged(40, 2)}), TAG, tmp_path)
    data, options = Prepared(tmp_path, ""), AugmentOptions(copies=2, share=1.0)
    copies = varied_copies(TAG, data, options, 7)
    assert [*copies] == [*copies] == [*varied_copies(TAG, data, options, 7)]
    half = len(copies) // 2
    assert half == 20 and copies[0]["tokens"] != copies[half]["tokens"]
    assert [*copies] != [*varied_copies(TAG, data, options, 8)]
    ids = [row["id"] for row in [*data.rows("train"), *copies]]
    assert len(ids) == len(set(ids))


def test_rows_without_an_entity_cannot_be_varied(tmp_path: Path) -> None:
    bare = [{"tokens": row["tokens"], "tags": ["O"] * len(row["tags"])} for row in tagged(9, 2)]
    given = save_bert(tmp_path / "given", TAG, ("O",), num_hidden_layers=2)
    with pytest.raises(UsageError, match="no training row has anything to vary"):
        make_artifact(
            tmp_path / "made",
            "distill",
            TAG,
            {"train": bare, "test": bare},
            input=given,
            student={"layers": 1},
            augment={"copies": 3},
            **OPTIONS,
        )


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"augment": {"copies": 1}}, "augment"),
        ({"sequences": {"beams": 2}}, "sequences"),
        ({"on_policy": 0.5}, "on_policy"),
    ],
)
def test_rows_that_a_task_cannot_make_are_mistakes_of_a_plan(
    options: dict[str, Any], where: str
) -> None:
    found = Distill.check_task(DistillOptions(student={"layers": 1}, **options), type(CLASSIFY))
    assert [mistake.option for mistake in found] == [where]
    assert not Distill.check_task(DistillOptions(student={"layers": 1}), type(CLASSIFY))
