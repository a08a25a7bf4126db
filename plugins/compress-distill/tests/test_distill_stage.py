"""The loss on a batch, the student's shape, and what the stage leaves in an artifact."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from compress_distill import Distill, DistillOptions, StudentOptions
from compress_distill.cutting import evenly_spaced
from pydantic import ValidationError
from safetensors.torch import load_file
from tiny import (
    LABELS,
    TAGS,
    WORDS,
    Rows,
    asking,
    make_artifact,
    read,
    save_bert,
    sentences,
    tagged,
    task_named,
    word_processor,
)
from tokenizers import Tokenizer, models
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
)

from compress.artifact import Artifact, Manifest, Traits, digest_files, with_files
from compress.distillable import Distillable
from compress.distilling.loss import DistillationLoss
from compress.distilling.losses import answers_distance
from compress.distilling.menu import LogitsLoss
from compress.errors import NothingChanged, UsageError
from compress.models import open_model
from compress.task import Features, Row, Task
from compress.teacher import Asked, Pair, TeacherOutputs, teacher_outputs
from compress.training import Term

CLASSIFY = task_named("text-classification")
TAG = task_named("token-classification")
FILL = task_named("fill-mask")
SPLITS = {"train": sentences(20, 0), "test": sentences(6, 1)}
OPTIONS = {"epochs": 1, "batch_size": 4, "precision": "fp32"}
DEEP = {"num_hidden_layers": 4}


def weights(artifact: Artifact) -> dict[str, torch.Tensor]:
    return load_file(artifact.folder / "model.safetensors")


def alone(artifact: Artifact, task: Task[Any], features: Sequence[Features]) -> list[torch.Tensor]:
    """Logits of each row, to which nothing is padded."""
    model = open_model(artifact, task)
    with torch.no_grad():
        return [model(input_ids=torch.tensor([f["input_ids"]])).logits[0] for f in features]


# the loss on a batch


def terms_of(
    task: Task[Any],
    artifact: Artifact,
    rows: list[Row],
    places: Sequence[int],
    outputs: TeacherOutputs,
    **options: Any,
) -> Sequence[Term]:
    """The terms of the loss of the artifact's own model for some of the rows."""
    features = task.features([rows[i] for i in places], word_processor())
    arrays = task.collate(features, word_processor())
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    loss = DistillationLoss(outputs, DistillOptions(**options).losses, task)
    with torch.no_grad():
        return loss(open_model(artifact, task), batch, torch.tensor(places))


def loss_of(
    task: Task[Any], artifact: Artifact, rows: list[Row], outputs: TeacherOutputs, **options: Any
) -> float:
    """The distillation loss of the artifact's own model against what a teacher answers."""
    terms = terms_of(task, artifact, rows, range(len(rows)), outputs, **options)
    return sum(term.value.item() for term in terms)


def told(
    task: Task[Any], artifact: Artifact, rows: list[Row], folder: Path, hidden: bool = False
) -> TeacherOutputs:
    """What the artifact's model answers to the rows."""
    asked = Asked(states=(-1,) if hidden else ())
    context = asking(task, rows, folder / "told")
    return teacher_outputs(context, artifact, "train", asked, word_processor())


@pytest.mark.parametrize(
    ("task", "labels", "rows"),
    [(CLASSIFY, LABELS, sentences(9, 3)), (TAG, TAGS, tagged(9, 3))],
    ids=["one answer a text", "one answer a token"],
)
def test_the_teacher_itself_has_nothing_to_learn(
    task: Task[Any], labels: tuple[str, ...], rows: Rows, tmp_path: Path
) -> None:
    artifact = save_bert(tmp_path / "a", task, labels)
    known = read(rows, task, labels)
    outputs = told(task, artifact, known, tmp_path, hidden=True)
    # Hidden states are kept in 16 bits; measured: 1e-7.
    assert loss_of(task, artifact, known, outputs) == pytest.approx(0, abs=1e-5)
    other = save_bert(tmp_path / "b", task, labels, seed=2)
    assert loss_of(task, other, known, outputs) > 1e-3


def test_the_true_labels_count_where_they_are_given_a_weight(tmp_path: Path) -> None:
    artifact = save_bert(tmp_path / "a", CLASSIFY)
    rows = read(sentences(4, 3), CLASSIFY)
    features = CLASSIFY.features(rows, word_processor())
    logits = torch.stack(alone(artifact, CLASSIFY, features))
    outputs = told(CLASSIFY, artifact, rows, tmp_path)
    loss = loss_of(
        CLASSIFY, artifact, rows, outputs, losses=["logits", {"labels": {"weight": 0.5}}]
    )
    truth = torch.tensor([row["label"] for row in rows])
    expected = 0.5 * torch.nn.functional.cross_entropy(logits, truth)
    assert loss == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "label", "expected"),
    [("single", "bad", 0.0), ("multi", "bad;good", None), ("regression", "0.5", 1.0)],
)
def test_answers_are_compared_as_their_task_says(
    kind: str, label: str, expected: float | None, tmp_path: Path
) -> None:
    """A constant is added to all logits: a distribution over labels does not change by it, yes and
    no for each of them do, and so does a number."""
    task = task_named("text-classification", kind=kind)
    labels = () if kind == "regression" else LABELS
    rows = read([{"text": "good w1", "label": label}], task, labels)
    artifact = save_bert(tmp_path / "a", task, labels)
    shifted = tmp_path / "b"
    model = open_model(artifact, task)
    with torch.no_grad():
        model.classifier.bias += 1.0
    model.save_pretrained(shifted)
    word_processor().save(shifted)
    traits = Traits(task=task.name)
    Manifest(traits, digest_files(shifted), "model", "import", labels=labels).write(shifted)
    outputs = told(task, Artifact.open(shifted), rows, tmp_path)
    distance = loss_of(task, artifact, rows, outputs, losses=[{"logits": {"temperature": 1.0}}])
    if expected is None:
        assert distance > 0.05
    else:
        assert distance == pytest.approx(expected, abs=1e-4)


class Twice(type(CLASSIFY)):  # type: ignore[misc]
    """A task whose models answer the same with two outputs."""

    def distillable(self, outputs: Any, batch: Any) -> list[Distillable]:
        return super().distillable(outputs, batch) * 2


def test_two_outputs_weigh_as_one_does(tmp_path: Path) -> None:
    rows = read(sentences(6, 3), CLASSIFY)
    teacher, student = (save_bert(tmp_path / str(i), CLASSIFY, seed=i) for i in (1, 2))
    losses = []
    for name, task in (("one", CLASSIFY), ("two", Twice(CLASSIFY.options))):
        outputs = told(task, teacher, rows, tmp_path / name)
        losses.append(loss_of(task, student, rows, outputs, losses=["logits"]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6) and losses[0] > 1e-3


def test_terms_of_a_batch_are_the_weighted_means_of_its_parts(tmp_path: Path) -> None:
    """So several processes share a batch."""
    rows = read(tagged(7, 3), TAG, TAGS)
    teacher, student = (save_bert(tmp_path / str(i), TAG, TAGS, seed=i) for i in (1, 2))
    outputs = told(TAG, teacher, rows, tmp_path, hidden=True)
    whole, first, second = (
        terms_of(
            TAG,
            student,
            rows,
            places,
            outputs,
            losses=["logits", "hidden", {"labels": {"weight": 0.5}}],
        )
        for places in (range(7), range(3), range(3, 7))
    )
    assert len(whole) == 3
    for all_of_it, one, other in zip(whole, first, second, strict=True):
        assert all_of_it.count == one.count + other.count
        shared = (one.value * one.count + other.value * other.count) / all_of_it.count
        torch.testing.assert_close(shared, all_of_it.value)


def test_a_batch_without_an_answer_has_a_distance_of_zero_and_gradients() -> None:
    student = torch.zeros(0, 3, requires_grad=True)
    distance = answers_distance(Pair(student, torch.zeros(0, 3), "softmax"), LogitsLoss())
    distance.backward()
    assert distance.item() == 0.0 and student.grad is not None


def test_labels_without_a_loss_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = read(sentences(4, 3), CLASSIFY)
    artifact = save_bert(tmp_path / "a", CLASSIFY)
    outputs = told(CLASSIFY, artifact, rows, tmp_path)
    monkeypatch.setattr(type(CLASSIFY), "loss", lambda self, outputs, batch: None)
    with pytest.raises(UsageError, match="labels: task text-classification has no loss"):
        loss_of(CLASSIFY, artifact, rows, outputs, losses=["labels"])


# the student


def test_kept_layers_are_spread_evenly_from_first_to_last() -> None:
    assert evenly_spaced(3, 12) == [0, 6, 11] and evenly_spaced(6, 12) == [0, 2, 4, 7, 9, 11]
    assert (
        evenly_spaced(2, 4) == [0, 3] and evenly_spaced(1, 4) == [3] and evenly_spaced(0, 4) == []
    )
    for layers in range(2, 40):
        for count in range(2, layers + 1):
            kept = evenly_spaced(count, layers)
            assert (
                kept == sorted(set(kept))
                and len(kept) == count
                and (kept[0], kept[-1]) == (0, layers - 1)
            )
            steps = {b - a for a, b in zip(kept, kept[1:], strict=False)}
            assert max(steps) - min(steps) <= 2


@pytest.mark.parametrize(("layers", "kept"), [(2, [0, 3]), (3, [0, 2, 3]), ([1, 2], [1, 2])])
def test_a_student_has_the_layers_asked_for_and_opens_with_plain_transformers(
    layers: Any, kept: list[int], tmp_path: Path
) -> None:
    given = save_bert(tmp_path / "given", CLASSIFY, **DEEP)
    made = make_artifact(
        tmp_path / "made",
        "distill",
        CLASSIFY,
        SPLITS,
        input=given,
        student=StudentOptions(layers=layers),
        learning_rate=1e-9,
        weight_decay=0.0,
        **OPTIONS,
    )
    model, info = AutoModelForSequenceClassification.from_pretrained(
        made.folder, output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert model.config.num_hidden_layers == len(model.bert.encoder.layer) == len(kept)
    assert (made.traits.shape, made.manifest.edits) == ("stock", ())
    old, new = weights(given), weights(made)
    for place, source in enumerate(kept):
        name = "bert.encoder.layer.{}.attention.self.query.weight"
        assert (new[name.format(place)] - old[name.format(source)]).abs().max() < 1e-6
    assert (new["classifier.weight"] - old["classifier.weight"]).abs().max() < 1e-6, (
        "the teacher's head is kept"
    )


@pytest.mark.parametrize("layers", [5, [4], [0, 1, 2, 3, 4]])
def test_layers_that_the_model_does_not_have_are_refused(layers: Any, tmp_path: Path) -> None:
    given = save_bert(tmp_path / "given", CLASSIFY, **DEEP)
    with pytest.raises(UsageError, match="does not fit a model of 4 layers"):
        make_artifact(
            tmp_path / "made",
            "distill",
            CLASSIFY,
            SPLITS,
            input=given,
            student=StudentOptions(layers=layers),
            **OPTIONS,
        )


@pytest.mark.parametrize("layers", [4, [0, 1, 2, 3]])
def test_a_student_with_every_layer_is_none(layers: Any, tmp_path: Path) -> None:
    given = save_bert(tmp_path / "given", CLASSIFY, **DEEP)
    with pytest.raises(NothingChanged, match="cuts nothing from a model of 4 layers"):
        make_artifact(
            tmp_path / "made",
            "distill",
            CLASSIFY,
            SPLITS,
            input=given,
            student=StudentOptions(layers=layers),
            **OPTIONS,
        )


def test_a_further_try_has_one_layer_more() -> None:
    options = DistillOptions(student=StudentOptions(layers=2), losses=["logits"])
    assert Distill.back_off(options) == DistillOptions(
        student=StudentOptions(layers=3), losses=["logits"]
    )
    assert Distill.back_off(DistillOptions(student=StudentOptions(layers=[0, 2]))) is None
    assert Distill.back_off(DistillOptions(teacher="teacher")) is None


def test_a_student_of_tokens_learns_from_another_teacher(tmp_path: Path) -> None:
    splits = {"train": tagged(24, 0), "test": tagged(6, 1)}
    given = save_bert(tmp_path / "given", TAG, TAGS, seed=1)
    other = save_bert(tmp_path / "other", TAG, TAGS, seed=2, **DEEP)
    made = make_artifact(
        tmp_path / "made",
        "distill",
        TAG,
        splits,
        input=given,
        references={"teacher": other},
        teacher="other",
        epochs=12,
        batch_size=4,
        precision="fp32",
        learning_rate=1e-2,
    )
    assert (
        AutoModelForTokenClassification.from_pretrained(made.folder).config.num_hidden_layers == 1
    )
    features = TAG.features(read(splits["train"], TAG, TAGS), word_processor())

    def distance(student: Artifact) -> float:
        pairs = zip(alone(student, TAG, features), alone(other, TAG, features), strict=True)
        return float(
            torch.cat([(s.softmax(-1) - t.softmax(-1)).abs()[1:-1] for s, t in pairs]).mean()
        )

    assert distance(made) < 0.6 * distance(given)
    assert sorted(made.manifest.files) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert made.manifest.lineage[-1]["digest"] == given.digest


def test_a_student_of_masked_tokens_learns_from_a_teacher_that_answers_each_mask(
    tmp_path: Path,
) -> None:
    splits = {
        split: [{"text": row["text"]} for row in rows]
        for split, rows in {**SPLITS, "train": sentences(60, 0)}.items()
    }
    given = save_bert(tmp_path / "given", FILL, (), num_hidden_layers=2)
    options = {"student": {"layers": 1}, "batch_size": 4, "precision": "fp32"}
    made = make_artifact(
        tmp_path / "made",
        "distill",
        FILL,
        splits,
        input=given,
        epochs=6,
        learning_rate=1e-2,
        **options,
    )
    cut = make_artifact(
        tmp_path / "cut",
        "distill",
        FILL,
        splits,
        input=given,
        epochs=0.1,
        learning_rate=1e-9,
        **options,
    )
    features = FILL.features(read(splits["train"], FILL, ()), word_processor())

    def distance(student: Artifact) -> float:
        pairs = zip(alone(student, FILL, features), alone(given, FILL, features), strict=True)
        return float(torch.cat([(s.softmax(-1) - t.softmax(-1)).abs() for s, t in pairs]).mean())

    assert distance(made) < 0.8 * distance(cut)


def test_a_second_student_finds_what_the_teacher_answered_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = save_bert(tmp_path / "given", CLASSIFY, **DEEP)

    def student(name: str, layers: int) -> Artifact:
        return make_artifact(
            tmp_path / name,
            "distill",
            CLASSIFY,
            SPLITS,
            input=given,
            student=StudentOptions(layers=layers),
            **OPTIONS,
        )

    first = student("one", 1)
    monkeypatch.setattr("compress.teacher.open_model", None)
    second, same = student("two", 2), student("three", 1)
    assert same.digest == first.digest != second.digest


def test_a_tokenizer_that_an_older_library_has_written_is_the_same(tmp_path: Path) -> None:
    """Merges were strings then, and are pairs now."""
    sides = []
    for name in ("new", "old"):
        folder = tmp_path / name
        save_bert(folder, CLASSIFY, **DEEP)
        tokenizer = Tokenizer(
            models.BPE({"g": 0, "o": 1, "go": 2, "[UNK]": 3}, [("g", "o")], unk_token="[UNK]")
        )
        state = json.loads(tokenizer.to_str())
        assert state["model"]["merges"] == [["g", "o"]]
        if name == "old":
            state["model"]["merges"] = ["g o"]
        (folder / "tokenizer.json").write_text(json.dumps(state), encoding="utf-8")
        with_files(Manifest.read(folder), folder).write(folder)
        sides.append(Artifact.open(folder))
    made = make_artifact(
        tmp_path / "made",
        "distill",
        CLASSIFY,
        SPLITS,
        input=sides[0],
        references={"teacher": sides[1]},
        teacher="x",
        student={"layers": 1},
        **OPTIONS,
    )
    assert made.manifest.notes["steps"] == 5


@pytest.mark.parametrize("saved_anew", [False, True])
def test_a_teacher_of_another_family_with_the_same_vocabulary_is_learned_from(
    saved_anew: bool, tmp_path: Path
) -> None:
    """It takes token types, which the student does not; and saving a tokenizer leaves out how it
    was last called."""
    wise = save_bert(tmp_path / "teacher", CLASSIFY)
    folder = tmp_path / "given"
    config = DistilBertConfig(
        dim=16,
        hidden_dim=32,
        n_layers=1,
        n_heads=2,
        vocab_size=len(WORDS),
        max_position_embeddings=40,
        **CLASSIFY.head_config(LABELS),
    )
    DistilBertForSequenceClassification(config).save_pretrained(folder)
    word_processor().save(folder)
    if not saved_anew:  # as the hub has them
        state = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        state["truncation"] = {
            "direction": "Right",
            "max_length": 5,
            "strategy": "LongestFirst",
            "stride": 0,
        }
        (folder / "tokenizer.json").write_text(json.dumps(state), encoding="utf-8")
    Manifest(
        Traits(task=CLASSIFY.name), digest_files(folder), "model", "import", labels=LABELS
    ).write(folder)
    made = make_artifact(
        tmp_path / "made",
        "distill",
        CLASSIFY,
        SPLITS,
        input=Artifact.open(folder),
        references={"teacher": wise},
        teacher="x",
        **OPTIONS,
    )
    assert made.manifest.notes["steps"] == 5


def test_a_student_of_labels_alone_asks_nothing_of_its_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first weights are those of a distilled one; the teacher is not opened."""
    monkeypatch.setattr("compress.teacher.open_model", None)
    given = save_bert(tmp_path / "given", CLASSIFY, **DEEP)
    common: dict[str, Any] = {"input": given, "student": {"layers": [1, 2]}, "losses": ["labels"]}
    said: list[str] = []

    def student(name: str, splits: Any = SPLITS, **options: Any) -> Artifact:
        folder, asked = tmp_path / name, {**OPTIONS, **common, **options}
        return make_artifact(folder, "distill", CLASSIFY, splits, said=said, **asked)

    made = student("made", learning_rate=1e-2)
    assert made.manifest.notes["distilled"] is False
    assert "losses has labels alone: nothing of the teacher is learned" in said
    start = student("start", learning_rate=1e-9, weight_decay=0.0)
    name = "bert.encoder.layer.0.attention.self.query.weight"
    source = weights(given)[name.replace("layer.0", "layer.1")]
    assert (weights(start)[name] - source).abs().max() < 1e-6
    assert not list((tmp_path / "store").rglob("*teacher-outputs*"))
    other = {"bad": "good", "good": "bad"}
    turned = [{**row, "label": other[row["label"]]} for row in SPLITS["train"]]
    told = student("turned", splits={**SPLITS, "train": turned})
    assert (weights(told)[name] - weights(made)[name]).abs().max() > 1e-4, "labels are learned"


# what is refused


def test_a_teacher_of_other_words_labels_or_task_is_refused(tmp_path: Path) -> None:
    given = save_bert(tmp_path / "given", CLASSIFY, **DEEP)
    strangers = {
        "labels are not the data's: its output 0": save_bert(
            tmp_path / "labels", CLASSIFY, LABELS[::-1]
        ),
        "the teacher serves token-classification": save_bert(tmp_path / "task", TAG, TAGS),
    }
    retold = tmp_path / "words"
    save_bert(retold, CLASSIFY)
    other = word_processor()
    other.tokenizer.add_tokens(["another"])
    other.save(retold)
    with_files(Manifest.read(retold), retold).write(retold)
    strangers["different tokenizers"] = Artifact.open(retold)
    for i, (words, stranger) in enumerate(strangers.items()):
        with pytest.raises(UsageError, match=words):
            make_artifact(
                tmp_path / str(i),
                "distill",
                CLASSIFY,
                SPLITS,
                input=given,
                references={"teacher": stranger},
                teacher="x",
                **OPTIONS,
            )


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "student"),
        ({"teacher": "x", "losses": ["labels"], "unlabelled": {"train": "x.csv"}}, "unlabelled"),
        ({"teacher": "x", "losses": [{"logits": {"beta": 0.5}}], "keep": "sample"}, "keep"),
        ({"teacher": "x", "losses": [{"logits": {"distance": "mse"}}], "keep": "top"}, "keep"),
        ({"teacher": "x", "losses": ["logits", {"logits": {"temperature": 1.0}}]}, "keep"),
        (
            {"teacher": "x", "losses": [{"logits": {"distance": "mse", "beta": 0.0}}]},
            "losses.0.logits.beta",
        ),
        (
            {
                "teacher": "x",
                "phases": [
                    {"losses": ["hidden"]},
                    {"losses": ["labels", {"logits": {"distance": "mse", "beta": 0.0}}]},
                ],
            },
            "phases.1.losses.1.logits.beta",
        ),
        ({"teacher": "x", "on_policy": 0.5, "keep": "all"}, "keep"),
        ({"teacher": "x", "on_policy": 0.5, "losses": ["hidden"]}, "on_policy"),
    ],
)
def test_options_that_teach_nothing_or_exclude_each_other_are_mistakes(
    options: dict[str, Any], field: str
) -> None:
    assert [mistake.option for mistake in Distill.check(DistillOptions(**options))] == [field]


@pytest.mark.parametrize(
    "options",
    [
        {"losses": []},
        {"losses": ["logit"]},
        {"losses": [{"logits": {"temperature": 0.0}}]},
        {"losses": [{"logits": {"weight": 0.0}}]},
        {"losses": [{"logits": {}, "hidden": {}}]},
        {"student": {}},
        {"student": {"layers": "2"}},
        {"student": {"layers": {"count": 0}}},
        {"student": {"layers": {"count": 1, "by": "luck"}}},
        *({"student": {"hidden": x}} for x in (0, 1.0, 1.5, -3)),
        {"student": {"embeddings": 0}},
        *({"student": {"layers": x}} for x in (0, -1, [], [0, 0], [2, 0], [-1, 2])),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DistillOptions(**options)
