"""A teacher's answers as they are kept, the student's shape, and what the stage leaves in an
artifact."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from compress_distill import Distill, DistillOptions, StudentOptions, teacher
from compress_distill.distill import DistillationLoss
from compress_distill.student import evenly_spaced
from compress_distill.teacher import TeacherOutputs, teacher_outputs
from pydantic import ValidationError
from safetensors.torch import load_file
from tiny import (
    LABELS,
    TAGS,
    WORDS,
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
from compress.errors import CompressError, NothingChanged, UsageError
from compress.models import open_model
from compress.store.store import Ingredients, Store
from compress.task import IGNORED, Features, Task

CLASSIFY = task_named("text-classification")
TAG = task_named("token-classification")
SPLITS = {"train": sentences(20, 0), "test": sentences(6, 1)}
OPTIONS = {"epochs": 1, "batch_size": 4, "precision": "fp32"}
DEEP = {"num_hidden_layers": 4}


def weights(artifact: Artifact) -> dict[str, torch.Tensor]:
    return load_file(artifact.folder / "model.safetensors")


# the teacher's answers

Asked = tuple[TeacherOutputs, list[Features], Artifact, Callable[..., TeacherOutputs]]


@pytest.fixture(params=["text-classification", "token-classification"])
def asked(request: pytest.FixtureRequest, tmp_path: Path) -> Asked:
    """Answers on rows of shuffled lengths, their features, the teacher, and a way to ask again."""
    per_token = request.param == "token-classification"
    task, labels = (TAG, TAGS) if per_token else (CLASSIFY, LABELS)
    artifact = save_bert(tmp_path, task, labels)
    rows = read((tagged if per_token else sentences)(70, 3), task, labels)
    features = task.features(rows, word_processor())
    lengths = [len(f["input_ids"]) for f in features]
    assert lengths not in (sorted(lengths), sorted(lengths, reverse=True)) and len(set(lengths)) > 5
    store = Store(tmp_path / "store")

    def ask(
        hidden: bool = True, features: list[Features] = features, data: str = "digest"
    ) -> TeacherOutputs:
        def product(kind: str, ingredients: dict[str, Any], make: Callable[[Path], None]) -> Path:
            return store.make(Ingredients(kind, ingredients), lambda out, work: make(out) or 0.0)[
                0
            ].folder

        prepared = SimpleNamespace(digest=data, rows=lambda split: rows)
        context = SimpleNamespace(
            task=task, data=prepared, progress=lambda *args: None, product=product
        )
        return teacher_outputs(context, artifact, features, hidden=hidden)

    return ask(), features, artifact, ask


def alone(
    artifact: Artifact, task: Task[Any], features: Features
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and last hidden states of a row that nothing is padded to."""
    model = open_model(artifact, task)
    with torch.no_grad():
        answer = model(input_ids=torch.tensor([features["input_ids"]]), output_hidden_states=True)
    return answer.logits[0], answer.hidden_states[-1][0]


def test_each_row_is_given_its_own_answer(asked: Asked) -> None:
    outputs, features, artifact, _ = asked
    task = task_named(str(artifact.traits.task))
    assert outputs.per_token == (task.name == "token-classification")
    batch = [41, 3, 69, 0]
    length = max(len(features[i]["input_ids"]) for i in batch) + 2
    given, states = outputs.logits_of(batch, length), outputs.hidden_of(batch, length)
    assert states.shape == (4, length, 16)
    for row, state, index in zip(given, states, batch, strict=True):
        logits, hidden = alone(artifact, task, features[index])
        n = len(features[index]["input_ids"])
        torch.testing.assert_close(
            row[:n] if outputs.per_token else row, logits, atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(state[:n], hidden, atol=2e-3, rtol=2e-3)  # kept in 16 bits
        assert not state[n:].any(), "beyond a row's end there is padding alone"
        assert not outputs.per_token or not row[n:].any()


def test_no_padding_is_kept(asked: Asked) -> None:
    outputs, features, _, _ = asked
    tokens = sum(len(f["input_ids"]) for f in features)
    assert outputs.hidden is not None and len(outputs.hidden) == outputs.starts[-1] == tokens
    assert len(outputs.logits) == (tokens if outputs.per_token else len(features))


def test_the_teacher_is_asked_once(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, _, _, ask = asked
    monkeypatch.setattr(teacher, "open_model", None)
    again = ask()
    assert torch.equal(again.logits, outputs.logits)
    assert (
        again.hidden is not None
        and outputs.hidden is not None
        and torch.equal(again.hidden, outputs.hidden)
    )
    with pytest.raises(TypeError):
        ask(data="another digest")


def test_hidden_states_are_not_kept_where_nobody_learns_from_them(asked: Asked) -> None:
    outputs, _, _, ask = asked
    without = ask(hidden=False)
    assert without.hidden is None
    assert torch.equal(without.logits, outputs.logits)
    assert torch.equal(without.logits_of([5, 1], 16), outputs.logits_of([5, 1], 16))


def test_answers_of_other_rows_are_refused(asked: Asked) -> None:
    _, features, _, ask = asked
    with pytest.raises(CompressError, match="belong to other rows"):
        ask(
            features=[
                {**mine, "id": other["id"]}
                for mine, other in zip(features, features[::-1], strict=True)
            ]
        )
    with pytest.raises(UsageError, match="other tokens of these texts"):
        ask(features=features[::-1])


# the loss on a batch


def loss_of(
    task: Task[Any],
    artifact: Artifact,
    features: list[Features],
    rows: list[int],
    outputs: TeacherOutputs,
    **options: Any,
) -> torch.Tensor:
    """The distillation loss of the artifact's own model against the teacher's answers."""
    arrays = task.collate([features[i] for i in rows], word_processor())
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    loss = DistillationLoss(outputs, DistillOptions(**options))
    with torch.no_grad():
        return loss(open_model(artifact, task), batch, torch.tensor(rows))


def test_the_teacher_itself_has_nothing_to_learn(asked: Asked) -> None:
    outputs, features, artifact, _ = asked
    task = task_named(str(artifact.traits.task))
    for rows in ([0, 1, 2, 3], [40, 7], [69]):
        loss = loss_of(task, artifact, features, rows, outputs, teacher="x")
        assert loss.item() == pytest.approx(
            0, abs=1e-5
        )  # hidden states were kept in 16 bits; measured: 1e-7
    others = TeacherOutputs(outputs.logits.flip(0), None, outputs.starts, outputs.per_token)
    loss = loss_of(task, artifact, features, [0, 1], others, teacher="x", hidden=0.0)
    assert loss.item() > 1e-4, "other rows' answers are another matter"


def test_only_scored_tokens_are_compared(tmp_path: Path) -> None:
    artifact = save_bert(tmp_path, TAG, TAGS)
    features = TAG.features(read(tagged(3, 3), TAG, TAGS), word_processor())
    lengths = [len(f["input_ids"]) for f in features]
    starts = torch.tensor([0, *torch.tensor(lengths).cumsum(0)])
    logits = torch.cat([alone(artifact, TAG, f)[0] for f in features])
    counted = torch.cat([torch.tensor(f["labels"]) != IGNORED for f in features])
    assert counted.any() and not counted.all()
    logits[~counted] += torch.tensor([9.0, 0.0, 0.0])
    outputs = TeacherOutputs(logits, None, starts, True)
    assert (
        loss_of(TAG, artifact, features, [2, 0, 1], outputs, teacher="x", hidden=0.0).item() < 1e-6
    )


def test_the_true_labels_count_where_they_are_given_a_weight(tmp_path: Path) -> None:
    artifact = save_bert(tmp_path, CLASSIFY)
    rows = read(sentences(4, 3), CLASSIFY)
    features = CLASSIFY.features(rows, word_processor())
    logits = torch.stack([alone(artifact, CLASSIFY, f)[0] for f in features])
    outputs = TeacherOutputs(logits, None, torch.tensor([0]), False)
    loss = loss_of(
        CLASSIFY, artifact, features, [0, 1, 2, 3], outputs, teacher="x", hidden=0.0, labels=0.5
    )
    expected = 0.5 * torch.nn.functional.cross_entropy(
        logits, torch.tensor([row["label"] for row in rows])
    )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize(("kind", "label"), [("multi", "bad;good"), ("regression", "0.5")])
def test_several_labels_and_numbers_are_compared_in_their_own_way(
    kind: str, label: str, tmp_path: Path
) -> None:
    task = task_named("text-classification", kind=kind)
    labels = LABELS if kind == "multi" else ()
    artifact = save_bert(tmp_path, task, labels)
    features = task.features(
        read([{"text": "good w1", "label": label}], task, labels), word_processor()
    )
    logits, _ = alone(artifact, task, features[0])

    def compared(shift: float) -> float:
        outputs = TeacherOutputs(logits[None] + shift, None, torch.tensor([0]), False)
        return loss_of(
            task, artifact, features, [0], outputs, teacher="x", hidden=0.0, temperature=1.0
        ).item()

    assert compared(0.0) == pytest.approx(0, abs=1e-9)
    # A softmax over the labels would not see that all of them moved.
    assert (
        compared(1.0) == pytest.approx(1.0, rel=1e-4)
        if kind == "regression"
        else compared(1.0) > 0.05
    )


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
    options = DistillOptions(student=StudentOptions(layers=2), temperature=3.0)
    assert Distill.back_off(options) == DistillOptions(
        student=StudentOptions(layers=3), temperature=3.0
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
        pairs = [(alone(student, TAG, f)[0], alone(other, TAG, f)[0]) for f in features]
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
    monkeypatch.setattr(teacher, "open_model", None)
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


# what is refused


def test_a_teacher_of_other_words_labels_or_task_is_refused(tmp_path: Path) -> None:
    given = save_bert(tmp_path / "given", CLASSIFY, **DEEP)
    strangers = {
        "labels are not the data's labels": save_bert(tmp_path / "labels", CLASSIFY, LABELS[::-1]),
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


def test_hidden_states_of_another_width_are_refused_with_the_way_out(tmp_path: Path) -> None:
    given = save_bert(tmp_path / "given", CLASSIFY)
    wide = save_bert(tmp_path / "wide", CLASSIFY, hidden_size=24)
    with pytest.raises(UsageError, match="hidden width is 24 and the student's 16: set hidden: 0"):
        make_artifact(
            tmp_path / "a",
            "distill",
            CLASSIFY,
            SPLITS,
            input=given,
            references={"teacher": wide},
            teacher="x",
            **OPTIONS,
        )
    assert not list((tmp_path / "store").rglob("teacher-outputs"))  # it was not asked first
    made = make_artifact(
        tmp_path / "b",
        "distill",
        CLASSIFY,
        SPLITS,
        input=given,
        references={"teacher": wide},
        teacher="x",
        hidden=0.0,
        **OPTIONS,
    )
    assert made.manifest.notes["steps"] == 5


@pytest.mark.parametrize(
    ("options", "field"),
    [({}, "student"), ({"teacher": "x", "logits": 0.0, "hidden": 0.0}, "logits")],
)
def test_options_that_teach_nothing_are_mistakes(options: dict[str, Any], field: str) -> None:
    assert [mistake.option for mistake in Distill.check(DistillOptions(**options))] == [field]


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"logits": -1.0},
        {"student": {}},
        {"student": {"layers": "2"}},
        *({"student": {"layers": x}} for x in (0, -1, [], [0, 0], [2, 0], [-1, 2])),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DistillOptions(**options)
