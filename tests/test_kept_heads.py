"""Which weights of a head are kept and which are drawn when a model is opened to train."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import LABELS, SHAPE, TAGS, WORDS, make_artifact, save_bert, sentences, task_named
from tiny import word_processor as processor
from transformers import AutoConfig, PreTrainedModel

from compress.adapting import adapt_model
from compress.artifact import Artifact, Manifest, Traits, digest_files, with_files
from compress.errors import IntegrityError
from compress.models import empty_model, open_model
from compress.task import Task, TextTaskOptions

ANSWERS = ("classifier.bias", "classifier.weight")
"""The tensors of BERT's head for a text."""
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}


def plain_task(kind: str) -> Task[Any]:
    """A task without labels, as a plugin may bring it."""
    methods = {
        name: lambda *_, **__: None
        for name in Task.__abstractmethods__  # rows and answers, which opening needs not
    }
    made: type[Task[Any]] = type("Plain", (Task,), {**methods, "name": kind, "kind": kind})
    return made(TextTaskOptions())


def saved(
    folder: Path, task: Task[Any], family: str, served: str | None, **config: Any
) -> Artifact:
    """A model of a family with the task's head and random weights; its manifest says that the
    head is for the task ``served``."""
    torch.manual_seed(1)
    built = AutoConfig.for_model(family, vocab_size=len(WORDS), pad_token_id=0, **config)
    empty_model(task, built).save_pretrained(folder)
    processor().save(folder)
    Manifest(Traits(task=served), digest_files(folder), "model", "import").write(folder)
    return Artifact.open(folder)


def changed(model: PreTrainedModel, artifact: Artifact) -> list[str]:
    """The stored tensors that the model has with other values, or not at all."""
    own, names = model.state_dict(), []
    for name, stored in load_file(artifact.folder / "model.safetensors").items():
        if name not in own or not torch.equal(own[name], stored):
            names.append(name)
    return sorted(names)


@pytest.mark.parametrize("served", ["the task", "another", None])
@pytest.mark.parametrize(
    ("name", "family", "config"),
    [
        ("text2text-generation", "t5", T5),
        ("text-generation", "llama", SHAPE | {"num_key_value_heads": 2}),
        ("question-answering", "bert", SHAPE),
        ("question-answering", "t5", T5),
    ],
)
def test_a_model_opened_for_a_task_without_labels_keeps_every_weight(
    name: str, family: str, config: dict[str, Any], served: str | None, tmp_path: Path
) -> None:
    task = plain_task(name)
    serves = name if served == "the task" else served
    artifact = saved(tmp_path, task, family, serves, **config)
    assert type(task).stated_labels(json.loads((tmp_path / "config.json").read_text())) == ()
    adapted = adapt_model(artifact, task, ())
    assert (changed(adapted.model, artifact), adapted.drawn) == ([], ())


@pytest.mark.parametrize("family", ["t5", "bert"])
def test_a_lost_weight_of_the_body_is_never_drawn(family: str, tmp_path: Path) -> None:
    """T5 holds its body's modules beside its head; BERT's are below ``bert``."""
    task = plain_task("question-answering")
    artifact = saved(tmp_path, task, family, None, **(T5 if family == "t5" else SHAPE))
    weights = load_file(tmp_path / "model.safetensors")
    lost = next(name for name in weights if "layer.0" in name or "block.0" in name)
    save_file(
        {name: value for name, value in weights.items() if name != lost},
        tmp_path / "model.safetensors",
        {"format": "pt"},
    )
    with_files(artifact.manifest, tmp_path).write(tmp_path)
    with pytest.raises(IntegrityError, match=f"missing or of another shape: {lost}"):
        adapt_model(Artifact.open(tmp_path), task, ())


def test_a_head_of_another_shape_is_refused_where_the_task_has_no_labels(tmp_path: Path) -> None:
    task = task_named("fill-mask")
    artifact = save_bert(tmp_path, task, ())
    weights = load_file(tmp_path / "model.safetensors")
    weights["cls.predictions.bias"] = torch.zeros(5)
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with_files(Manifest.read(tmp_path), tmp_path).write(tmp_path)
    for served in (task.name, None):
        manifest = Manifest(Traits(task=served), artifact.manifest.files, "model", "import")
        with_files(manifest, tmp_path).write(tmp_path)
        with pytest.raises(IntegrityError, match=r"cls\.predictions"):
            adapt_model(Artifact.open(tmp_path), task, ())


@pytest.mark.parametrize(
    ("given", "own", "wanted", "labels", "drawn"),
    [
        ("text-classification", LABELS, "text-classification", LABELS, ()),
        ("text-classification", LABELS, "text-classification", ("good", "bad"), ANSWERS),
        ("text-classification", LABELS, "text-classification", ("a", "b", "c"), ANSWERS),
        ("text-classification", (), "text-classification", LABELS, ()),
        ("token-classification", TAGS[:2], "text-classification", LABELS, ANSWERS),
        ("token-classification", ("LABEL_0", "LABEL_1"), "text-classification", LABELS, ANSWERS),
    ],
)
def test_a_head_is_drawn_where_its_outputs_mean_something_else_and_every_tensor_is_named(
    given: str,
    own: tuple[str, ...],
    wanted: str,
    labels: tuple[str, ...],
    drawn: tuple[str, ...],
    tmp_path: Path,
) -> None:
    artifact = save_bert(tmp_path, task_named(given), own or LABELS)
    unknown = Manifest(Traits(task=given), artifact.manifest.files, "model", "import", labels=own)
    adapted = adapt_model(Artifact(tmp_path, unknown), task_named(wanted), labels)
    of_head = [name for name in changed(adapted.model, artifact) if "classifier" in name]
    assert [name for name in changed(adapted.model, artifact) if name not in of_head] == []
    # A new bias is 0, as the old one was.
    assert set(of_head) | {"classifier.bias"} == {*drawn, "classifier.bias"}
    assert tuple(name for name in adapted.drawn if ".pooler." not in name) == drawn


def test_the_run_and_the_manifest_name_what_was_drawn(tmp_path: Path) -> None:
    task, splits = (
        task_named("text-classification"),
        {"train": sentences(8, 0), "test": sentences(4, 1)},
    )
    given = save_bert(tmp_path / "given", task, ("good", "bad"))
    said: list[str] = []
    options = {"epochs": 1, "batch_size": 4, "precision": "fp32"}
    for stage, extra in (("finetune", {}), ("distill", {"teacher": "made"})):
        references = {}
        if stage == "distill":
            references["teacher"] = Artifact.open(tmp_path / "finetune" / "output")
        made = make_artifact(
            tmp_path / stage,
            stage,
            task,
            splits,
            input=given,
            references=references,
            said=said,
            **options,
            **extra,
        )
        assert made.manifest.notes["drawn"] == list(ANSWERS)
        line = "these weights are new, and drawn at random: classifier.bias, classifier.weight"
        assert said.pop() == line and not said


def test_nothing_is_said_of_a_head_that_is_kept(tmp_path: Path) -> None:
    task, said = task_named("text-classification"), list[str]()
    given = save_bert(tmp_path / "given", task)
    splits = {"train": sentences(8, 0), "test": sentences(4, 1)}
    made = make_artifact(
        tmp_path / "made", "finetune", task, splits, input=given, said=said, precision="fp32"
    )
    assert "drawn" not in made.manifest.notes and said == []
    assert open_model(made, task).config.id2label == dict(enumerate(LABELS))
