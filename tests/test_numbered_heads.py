"""Classifiers from outside whose labels have no names: transformers leaves ``id2label`` out of the
config of two."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from running import GIVEN, UNMEASURED, run, write_place
from tiny import (
    LABELS,
    TAGS,
    MemorySource,
    make_artifact,
    save_bert,
    sentences,
    taken_in,
    task_named,
)

import compress
from compress.adapting import adapt_model
from compress.artifact import MANIFEST, Artifact
from compress.errors import UsageError
from compress.heads import meant_labels
from compress.models import open_model
from compress.planning import Plan, make_plan
from compress.pretrained.families import Families
from compress.recipes.recipe import read_recipe
from compress.registry.plugins import Registry
from compress.running.heads import can_be_measured, numbered_heads, refuse_wrong_labels
from compress.store.prepared import Prepared, prepare
from compress.workers.jobs.probing import open_probe
from compress.workers.protocol import Chosen, ProbeArtifact, Subject

NUMBERS = ("LABEL_0", "LABEL_1")
RECIPE = """\
task: {text-classification: {max_length: 16}}
model: ./model
data: {train: train.csv, test: test.csv}
"""


def without_names(
    folder: Path,
    task_name: str = "text-classification",
    labels: Sequence[str] = LABELS,
    **shape: Any,
) -> Path:
    """A folder as transformers saves a classifier whose labels were never named."""
    save_bert(folder, task_named(task_name), labels, **shape)
    (folder / MANIFEST).unlink()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["id2label"], config["label2id"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture
def artifact(tmp_path: Path, registry: Registry) -> Artifact:
    """An imported binary classifier with the labels' numbers alone."""
    return taken_in(without_names(tmp_path / "outside"), tmp_path / "taken", registry)


@pytest.mark.parametrize(
    ("own", "labels", "meant"),
    [
        (NUMBERS, LABELS, LABELS),
        (NUMBERS, ("0", "1"), ("0", "1")),
        (NUMBERS, ("a", "b", "c"), NUMBERS),
        (NUMBERS, (), NUMBERS),
        (NUMBERS, ("LABEL_1", "LABEL_0"), NUMBERS),
        (LABELS, ("0", "1"), LABELS),
        ((), LABELS, ()),
        (("LABEL_1", "LABEL_0"), LABELS, ("LABEL_1", "LABEL_0")),
    ],
)
def test_outputs_that_are_numbered_alone_mean_as_many_labels_of_the_data_in_their_order(
    own: Sequence[str], labels: Sequence[str], meant: Sequence[str]
) -> None:
    assert meant_labels(own, labels) == meant


def test_two_outputs_without_names_are_called_as_transformers_calls_them(
    artifact: Artifact,
) -> None:
    assert artifact.manifest.labels == NUMBERS
    assert open_model(artifact, task_named("text-classification")).config.id2label == dict(
        enumerate(NUMBERS)
    )


def test_the_trained_head_is_kept_and_given_the_names_of_the_data(artifact: Artifact) -> None:
    task = task_named("text-classification")
    adapted, before = adapt_model(artifact, task, LABELS).model, open_model(artifact, task)
    torch.testing.assert_close(
        dict(adapted.named_parameters()), dict(before.named_parameters()), rtol=0, atol=0
    )
    assert adapted.config.id2label == dict(enumerate(LABELS))
    other = adapt_model(artifact, task, ("a", "b", "c")).model
    assert other.get_parameter("classifier.weight").shape[0] == 3


def test_it_teaches(artifact: Artifact, tmp_path: Path) -> None:
    made = make_artifact(
        tmp_path / "made",
        "distill",
        task_named("text-classification"),
        {"train": sentences(8, 0), "test": sentences(4, 1)},
        input=artifact,
        references={"teacher": artifact},
        teacher="model",
        epochs=1,
        batch_size=4,
        precision="fp32",
    )
    assert made.manifest.labels == LABELS


def test_its_quality_is_told_by_the_names_of_the_data(
    artifact: Artifact, tmp_path: Path, registry: Registry
) -> None:
    task, data = task_named("text-classification"), tmp_path / "data"
    data.mkdir()
    prepare(MemorySource({"train": sentences(8, 0), "test": sentences(4, 1)}), task, data)
    chosen = Chosen(task.name, task.options.model_dump(mode="json"))
    subject = Subject("model", artifact.folder, chosen, Prepared(data, ""))
    assert open_probe(ProbeArtifact(subject, "quick"), registry).labels == LABELS


def test_it_is_answered_with_its_own_numbers(tmp_path: Path) -> None:
    answers = compress.load(without_names(tmp_path / "outside"))(["good w1", "bad"])
    assert {answer["label"] for answer in answers} <= set(NUMBERS)


@pytest.mark.slow
def test_a_run_takes_it_and_says_what_its_outputs_are_taken_for(tmp_path: Path) -> None:
    place = write_place(tmp_path / "place", recipe=GIVEN)
    without_names(place / "model", num_hidden_layers=2)
    done = run(place, "recipe.yaml", environ=UNMEASURED)
    assert [done.step(name)["labels"] for name in ("model", "distill")] == [
        list(NUMBERS),
        list(LABELS),
    ]
    assert (
        f"the head of {place / 'model'} names no labels: its outputs are taken for [bad, good]"
        in done.output
    )


# before the first step


@pytest.fixture
def planned(
    tmp_path: Path,
    csv_data: Path,
    write_recipe: Callable[..., Path],
    registry: Registry,
    families: Families,
    fake_model: Callable[..., Path],
) -> Callable[..., Plan]:
    """The plan of a recipe with these stages, and data with these labels."""
    fake_model(labels=())
    return lambda stages: make_plan(
        read_recipe(write_recipe(RECIPE + f"stages: [{stages}]\n")), registry, families
    )


def data_with(*labels: str) -> Any:
    return SimpleNamespace(prepared=lambda data, task: SimpleNamespace(labels=labels))


@pytest.mark.parametrize("stage", ["quantize.onnx", "finetune"])
def test_two_labels_are_taken_in_their_order_and_that_is_said(
    stage: str, planned: Callable[..., Plan], artifact: Artifact
) -> None:
    plan = planned(stage)
    refuse_wrong_labels(plan, {"model": artifact}, data_with("bad", "good"))
    assert can_be_measured(plan, artifact, data_with("bad", "good"))
    (note,) = numbered_heads(plan, {"model": artifact}, data_with("bad", "good"))
    assert (
        "[bad, good], the data's labels in their order; state another order with data.labels"
        in note
    )


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("a", "b", "c"), "has 2 outputs, and kind: single takes 3"),
        (
            ("LABEL_1", "LABEL_0"),
            "are [LABEL_0, LABEL_1], and those of the data [LABEL_1, LABEL_0]",
        ),
    ],
)
def test_other_labels_are_refused(
    labels: Sequence[str], words: str, planned: Callable[..., Plan], artifact: Artifact
) -> None:
    plan = planned("quantize.onnx")
    with pytest.raises(UsageError) as caught:
        refuse_wrong_labels(plan, {"model": artifact}, data_with(*labels))
    assert words in str(caught.value)
    assert list(numbered_heads(plan, {"model": artifact}, data_with(*labels))) == []


def test_a_head_for_tags_that_names_none_is_measured_by_those_of_the_data_and_not_answered(
    tmp_path: Path, registry: Registry
) -> None:
    folder = without_names(tmp_path / "outside", "token-classification", TAGS[:2])
    head = taken_in(folder, tmp_path / "taken", registry)
    assert (
        head.manifest.labels == NUMBERS and meant_labels(head.manifest.labels, TAGS[:2]) == TAGS[:2]
    )
    with pytest.raises(
        UsageError, match="calls an output 'LABEL_0', which is not O, B-TYPE or I-TYPE"
    ):
        compress.load(folder)
