"""Training after a cut: on the true labels, or on what the model answered before it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from compress_prune import StructuredPruning
from compress_prune.caution import ZerosView
from compress_prune.options import StructuredOptions
from compress_prune.recovery import RecoveryOptions, recovery_mistakes
from tiny import make_artifact, save_bert, sentences, task_named
from trainings import equal
from transformers import BertForSequenceClassification

from compress.artifact import Artifact, digest_files
from compress.errors import UsageError
from compress.models import open_model

TASK = task_named("text-classification")
ROWS = {"train": sentences(24, 0), "test": sentences(4, 1)}
SWAPPED = [{**row, "label": "bad" if row["label"] == "good" else "good"} for row in ROWS["train"]]
TRAINED = {"epochs": 2, "batch_size": 8, "learning_rate": 5e-3, "precision": "fp32"}
STEPS = {
    "prune.structured": {"feed_forward": 0.5, "heads": 0.5},
    "prune.unstructured": {"share": 0.7, "criterion": "magnitude"},
}


def sure(folder: Path, **shape: Any) -> Artifact:
    """A model whose answers differ much from text to text."""
    artifact = save_bert(folder, TASK, **shape)
    model = BertForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 4
    model.save_pretrained(folder)
    replace(artifact.manifest, files=digest_files(folder)).write(folder)
    return Artifact.open(folder)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return sure(tmp_path_factory.mktemp("recovery") / "source", num_hidden_layers=2)


def recovered(stage: str, source: Artifact, folder: Path, rows: Any = None, **recover: Any) -> Any:
    splits = {**ROWS, "train": rows or ROWS["train"]}
    references = recover.pop("references", None)
    asked = {"recover": {**TRAINED, **recover}}
    return make_artifact(
        folder, stage, TASK, splits, input=source, references=references, **STEPS[stage], **asked
    )


def answers(artifact: Artifact) -> torch.Tensor:
    """Probabilities for the training rows."""
    processor = TASK.processor(artifact.folder)
    features = TASK.features(TASK.request([row["text"] for row in ROWS["train"]]), processor)
    arrays = TASK.collate(features, processor)
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    with torch.no_grad():
        return open_model(artifact, TASK)(**batch).logits.softmax(dim=-1)


def distance(one: Artifact, other: Artifact) -> float:
    return float((answers(one) - answers(other)).abs().mean())


@pytest.mark.parametrize("stage", STEPS)
def test_a_cut_model_learns_what_it_answered_before_the_cut(
    stage: str, source: Artifact, tmp_path: Path
) -> None:
    cut = make_artifact(tmp_path / "cut", stage, TASK, ROWS, input=source, **STEPS[stage])
    made = recovered(stage, source, tmp_path / "made", distill=["logits"], epochs=6)
    assert distance(made, source) < 0.8 * distance(cut, source)  # measured: 0.61 and 0.76


def test_the_true_labels_are_not_read_unless_they_are_asked_for(
    source: Artifact, tmp_path: Path
) -> None:
    """Importance is not measured by magnitude, so that the labels could matter in the training
    alone."""

    def weights(name: str, rows: Any, distill: Any) -> dict[str, torch.Tensor]:
        made = recovered("prune.unstructured", source, tmp_path / name, rows, distill=distill)
        return open_model(made, TASK).state_dict()

    assert equal(weights("a", None, True), weights("b", SWAPPED, True))
    both: Any = ["logits", "labels"]
    assert not equal(weights("c", None, both), weights("d", SWAPPED, both))


def test_zeros_stay_zeros_while_a_teacher_is_learned_from(source: Artifact, tmp_path: Path) -> None:
    made = recovered("prune.unstructured", source, tmp_path / "made", distill=True)
    weights = open_model(made, TASK).state_dict()
    zeros = sum(int((w == 0).sum()) for n, w in weights.items() if "layer." in n and w.ndim == 2)
    assert zeros == made.manifest.notes["zeros"] and made.manifest.notes["recover"]["steps"] == 6


def test_another_teacher_is_learned_from_where_one_is_named(
    source: Artifact, tmp_path: Path
) -> None:
    other = sure(tmp_path / "other", num_hidden_layers=4, seed=9)
    made = recovered(
        "prune.structured",
        source,
        tmp_path / "made",
        distill=["logits"],
        epochs=6,
        teacher="other",
        references={"recover.teacher": other},
    )
    cut = make_artifact(
        tmp_path / "cut", "prune.structured", TASK, ROWS, input=source, **STEPS["prune.structured"]
    )
    assert distance(made, other) < 0.8 * distance(cut, other)


def test_a_teacher_of_another_task_is_refused(source: Artifact, tmp_path: Path) -> None:
    task = task_named("token-classification")
    other = save_bert(tmp_path / "other", task)
    with pytest.raises(UsageError, match="the teacher serves token-classification"):
        recovered(
            "prune.structured",
            source,
            tmp_path / "made",
            distill=True,
            teacher="other",
            references={"recover.teacher": other},
        )


def test_options_that_exclude_each_other_are_named() -> None:
    halves = [{"logits": {"temperature": 1.0}}, {"logits": {"temperature": 2.0}}]
    for given, option in (
        ({"teacher": "x"}, "recover.teacher"),
        ({"distill": ["labels"]}, "recover.distill"),
        ({"distill": halves}, "recover.distill"),
        (
            {"distill": [{"logits": {"distance": "mse", "beta": 1.0}}]},
            "recover.distill.0.logits.beta",
        ),
    ):
        options = RecoveryOptions.model_validate_json(json.dumps(given))
        (mistake,) = recovery_mistakes(options)
        assert mistake.option == option
        asked = StructuredOptions(heads=0.5, recover=options)
        assert StructuredPruning.check(asked) == [mistake]
    assert recovery_mistakes(RecoveryOptions(distill=True, teacher="x")) == []
    assert recovery_mistakes(RecoveryOptions()) == recovery_mistakes(None) == []


def test_every_report_with_zeros_says_that_they_make_nothing_faster() -> None:
    steps = [
        {"name": "teacher", "stage": "finetune"},
        {"name": "half", "stage": "prune.unstructured"},
    ]
    section = ZerosView().section({"steps": steps})
    assert section is not None and len(section.lines) == 1
    assert section.lines[0].startswith("half sets weights to zero.")
    assert ZerosView().section({"steps": steps[:1]}) is None
