"""Distillation of a model that writes: from its teacher's answers, from those that the student
draws itself, and from samples of the distributions of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from compress_distill import DistillOptions, sequences
from compress_distill.onpolicy import OwnTargets
from generators import CONFIGS
from installing import install
from tiny import asking, make_artifact, read, save_bert, sentences, task_named, word_processor
from tokenizers import processors
from trainings import OPTIONS, Given, Interrupted, equal
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.distilling.loss import DistillationLoss, asked_of
from compress.distilling.menu import Lesson
from compress.errors import UsageError
from compress.models import open_model
from compress.sessions import TorchSession
from compress.task import IGNORED, Task
from compress.teacher import Asked, Keeping, teacher_outputs
from compress.training import TrainingOptions, fit, reporter

Rows = list[dict[str, Any]]


def pairs(count: int, seed: int) -> Rows:
    """Texts that are answered by two words, which depend on one of theirs."""
    answers = {"good": "good w1", "bad": "bad w2"}
    return [
        {"source": row["text"], "target": answers[row["label"]]} for row in sentences(count, seed)
    ]


SPLITS = {"train": pairs(24, 1), "test": pairs(4, 2)}
LOSSES = [{"logits": {"temperature": 1.0}}, "hidden"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Task[Any]]:
    """A toy task whose models answer a text by a text."""
    site = tmp_path_factory.mktemp("seq2seq") / "site"
    install(site, "compress-seq2seq")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield task_named("seq2seq", target_length=6)


def save_model(folder: Path, task: Task[Any], family: str = "t5", seed: int = 4) -> Artifact:
    """A tiny model with random weights, whose answers differ."""
    torch.manual_seed(seed)
    tokens = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 2}
    config = AutoConfig.for_model(family, **{**CONFIGS[family], **tokens, "vocab_size": 21})
    model = AutoModelForSeq2SeqLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 3
    model.save_pretrained(folder)
    words = word_processor()
    words.tokenizer.post_processor = processors.TemplateProcessing(
        "$A [SEP]", "$A [SEP] $B [SEP]", [("[SEP]", 3)]
    )
    words.config["eos_token"] = "[SEP]"
    words.save(folder)
    Manifest(Traits(task=task.name), digest_files(folder), "model", "import").write(folder)
    return Artifact.open(folder)


@pytest.fixture(scope="module")
def teacher(task: Task[Any], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return save_model(tmp_path_factory.mktemp("models") / "teacher", task)


@pytest.fixture(scope="module")
def student(task: Task[Any], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return save_model(tmp_path_factory.mktemp("models") / "student", task, seed=5)


def rows_of(task: Task[Any], split: str = "train") -> Rows:
    return [dict(row) for row in read(SPLITS[split], task, ())]


def context_of(task: Task[Any], folder: Path) -> Any:
    return asking(task, rows_of(task), folder / "store")


def batch_of(task: Task[Any], artifact: Artifact, count: int) -> dict[str, torch.Tensor]:
    processor = task.processor(artifact.folder)
    arrays = task.collate(task.features(rows_of(task)[:count], processor), processor)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


# what a teacher writes


def taught(context: Any, teacher: Artifact, **options: Any) -> sequences.TaughtData:
    chosen = sequences.SequenceOptions(**options)
    return sequences.with_sequences(context, teacher, context.data, chosen)


def test_the_targets_are_what_the_teacher_answers(
    task: Task[Any], teacher: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequences, "_ROWS", 10)
    context = context_of(task, tmp_path)
    data = taught(context, teacher, beams=2)
    rows, processor = data.rows("train"), task.processor(teacher.folder)
    session = TorchSession(open_model(teacher, task), "cpu")
    limits = task.limits().model_copy(update={"beams": 2})
    for place in (0, 9, 10, 23):
        own = rows_of(task)[place]
        (answer,) = task.answer(session, task.features([own], processor), processor, limits)
        assert rows[place] == {**own, "target": answer["answer"]}
    assert len({row["target"] for row in rows}) > 3 and len(rows) == 24
    assert data.rows("test") is not rows and data.digest != context.data.digest
    both = taught(context, teacher, beams=2, true_targets=True)
    assert len(both.rows("train")) == 48 and both.digest != data.digest
    assert [both.rows("train")[i] for i in (18, 19)] == [rows_of(task)[9], rows[9]]


def test_answers_are_made_once_and_a_teacher_that_was_ended_goes_on(
    task: Task[Any], teacher: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequences, "_ROWS", 10)
    context, predict = context_of(task, tmp_path), sequences.predict
    made: list[int] = []

    def ends(session: Any, task: Any, processor: Any, rows: Any, *rest: Any, **asked: Any) -> Any:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(len(rows))
        return predict(session, task, processor, rows, *rest, **asked)

    monkeypatch.setattr(sequences, "predict", ends)
    with pytest.raises(KeyboardInterrupt):
        taught(context, teacher)
    made.clear()
    taught(context, teacher)
    assert made == [4], "the first twenty rows are in the store"
    monkeypatch.setattr(sequences, "open_model", None)
    assert len(taught(context, teacher).rows("train")) == 24
    with pytest.raises(TypeError):
        taught(context, teacher, beams=3)


def test_a_student_of_sequences_answers_more_as_its_teacher(
    task: Task[Any], teacher: Artifact, student: Artifact, tmp_path: Path
) -> None:
    options = {
        "teacher": "teacher",
        "sequences": {"beams": 1},
        "losses": ["labels"],
        "epochs": 6,
        "batch_size": 4,
        "learning_rate": 1e-2,
        "precision": "fp32",
    }
    made = make_artifact(
        tmp_path / "made",
        "distill",
        task,
        SPLITS,
        input=student,
        references={"teacher": teacher},
        **options,
    )
    processor = task.processor(teacher.folder)
    features = task.features(rows_of(task), processor)

    def answers(artifact: Artifact) -> list[str]:
        session = TorchSession(open_model(artifact, task), "cpu")
        return [one["answer"] for one in task.answer(session, features, processor)]

    wanted = answers(teacher)
    own, before = answers(made), answers(student)
    agreed = [sum(map(str.__eq__, side, wanted)) for side in (before, own)]
    assert agreed[1] > agreed[0], agreed
    assert not list((tmp_path / "store" / "products").glob("teacher-outputs*"))


# what a student writes


def own_targets(task: Task[Any], artifact: Artifact, share: float) -> OwnTargets:
    return OwnTargets(task, rows_of(task), task.processor(artifact.folder), share)


def test_targets_are_drawn_from_the_student_by_torchs_generator(
    task: Task[Any], student: Artifact
) -> None:
    model, own = open_model(student, task).train(), own_targets(task, student, 1.0)
    places = torch.tensor([3, 0, 7, 20])

    def written(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        batch = own.batch(model, places)
        assert batch is not None and model.training
        assert torch.equal(batch["input_ids"], plain["input_ids"])
        return batch["labels"]

    processor = task.processor(student.folder)
    rows = [rows_of(task)[place] for place in places.tolist()]
    arrays = task.collate(task.features(rows, processor), processor)
    plain = {name: torch.from_numpy(array) for name, array in arrays.items()}
    first = written(1)
    assert torch.equal(first, written(1)) and len(first) == 4
    assert not torch.equal(first, plain["labels"])
    others = [written(seed) for seed in range(2, 6)]
    assert any(other.shape != first.shape or not torch.equal(other, first) for other in others)


def test_a_share_of_the_batches_has_such_targets(
    task: Task[Any], student: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = own_targets(task, student, 0.25)
    monkeypatch.setattr(
        type(task), "answer", lambda self, *given, **asked: [{"answer": "good"}] * 2
    )
    torch.manual_seed(0)
    model, places = open_model(student, task), torch.tensor([0, 1])
    taken = sum(own.batch(model, places) is not None for _ in range(400))
    assert 70 < taken < 130


def test_an_answer_of_no_token_is_a_target_of_its_end(
    task: Task[Any], student: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = own_targets(task, student, 1.0)
    monkeypatch.setattr(type(task), "answer", lambda self, *given, **asked: [{"answer": ""}])
    batch = own.batch(open_model(student, task), torch.tensor([0]))
    assert batch is not None and batch["labels"].tolist() == [[3]]


def loss_of(
    context: Any, teacher: Artifact, task: Task[Any], own: OwnTargets | None, **options: Any
) -> DistillationLoss:
    chosen = DistillOptions(teacher="x", **options)
    processor = task.processor(teacher.folder)
    asked = replace(asked_of(Lesson(chosen.losses)), keeping=Keeping("nothing"))
    outputs = teacher_outputs(context, teacher, "train", asked, processor)
    return DistillationLoss(outputs, chosen.losses, task, own)


def test_a_step_in_16_bits_has_the_gradients_of_all_weights(
    task: Task[Any], teacher: Artifact, student: Artifact, tmp_path: Path
) -> None:
    """Writing casts the weights without gradients; the step must not use these."""
    model = open_model(student, task).train()
    own = own_targets(task, student, 1.0)
    loss = loss_of(
        context_of(task, tmp_path), teacher, task, own, losses=["logits", "hidden", "labels"]
    )
    with torch.autocast("cpu", torch.bfloat16):
        terms = loss(model, batch_of(task, student, 4), torch.arange(4))
        sum(term.value for term in terms).backward()
    missing = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert not missing
    assert [term.count > 0 for term in terms] == [True, True, True, False], "labels do not count"


def trained(given: Given, artifact: Artifact, teacher: Artifact) -> dict[str, torch.Tensor]:
    model = open_model(artifact, given.task).train()
    processor = given.task.processor(artifact.folder)
    own = own_targets(given.task, artifact, 0.5)
    loss = loss_of(context_of(given.task, given.work), teacher, given.task, own)
    options = TrainingOptions(**{**OPTIONS, "epochs": 1})
    splits = {"train": rows_of(given.task), "validation": []}
    data = SimpleNamespace(labels=(), digest="d", rows=splits.__getitem__)
    fit(model, given, options, loss=loss, processor=processor, data=data)
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_an_interrupted_training_on_own_targets_ends_in_the_weights_of_an_unbroken_one(
    task: Task[Any], teacher: Artifact, student: Artifact, tmp_path: Path
) -> None:
    def given(name: str, **asked: Any) -> Given:
        return Given(tmp_path / name, task=task, **asked)

    unbroken = trained(given("unbroken"), student, teacher)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(reporter, "_CHECKPOINT_SECONDS", -1)
        trained(given("work", stop_at=4), student, teacher)
    again = given("work")
    resumed = trained(again, student, teacher)
    assert again.steps[0] > 1 and equal(unbroken, resumed)
    assert not equal(unbroken, open_model(student, task).state_dict())


# distributions of tokens, and hidden states


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_the_teacher_itself_has_nothing_to_learn(
    family: str, task: Task[Any], tmp_path: Path
) -> None:
    """Of its tokens, and of the hidden states of its encoder and its decoder."""
    artifact = save_model(tmp_path / "teacher", task, family)
    other = save_model(tmp_path / "other", task, family, seed=3)
    context, processor = context_of(task, tmp_path), task.processor(artifact.folder)
    asked = Asked(states=(-1,), keeping=Keeping("sample"))
    outputs = teacher_outputs(context, artifact, "train", asked, processor)
    loss = DistillationLoss(outputs, DistillOptions(losses=LOSSES).losses, task)
    batch, places = batch_of(task, artifact, 5), torch.arange(5)
    answers = int((batch["labels"] != IGNORED).sum())
    with torch.no_grad():
        same, differ = (loss(open_model(x, task), batch, places) for x in (artifact, other))
    sources = int(batch["attention_mask"].sum())
    assert [term.count for term in same] == [answers, sources, answers]
    assert max(abs(float(term.value)) for term in same) < 1e-3
    assert min(float(term.value) for term in differ) > 0.01


@pytest.mark.parametrize("keep", ["sample", "top", "nothing"])
def test_a_student_of_some_tokens_comes_nearer(
    keep: str, task: Task[Any], teacher: Artifact, student: Artifact, tmp_path: Path
) -> None:
    options = {"keep": keep, "losses": LOSSES[:1]}
    made = make_artifact(
        tmp_path / "made",
        "distill",
        task,
        SPLITS,
        input=student,
        references={"teacher": teacher},
        teacher="teacher",
        epochs=2,
        batch_size=4,
        learning_rate=5e-3,
        precision="fp32",
        **options,
    )
    context = context_of(task, tmp_path / "told")
    whole = loss_of(context, teacher, task, None, losses=LOSSES[:1])
    batch, places = batch_of(task, teacher, 24), torch.arange(24)
    with torch.no_grad():
        before, after = (
            float(whole(open_model(x, task), batch, places)[0].value) for x in (student, made)
        )
    assert after < 0.8 * before, (before, after)
    kept = list((tmp_path / "store" / "products").glob("teacher-outputs/*"))
    assert len(kept) == (0 if keep == "nothing" else 1)


# what is refused


def test_answers_to_drawn_inputs_cannot_be_kept(tmp_path: Path) -> None:
    fill = task_named("fill-mask")
    artifact = save_bert(tmp_path / "a", fill, ())
    context = asking(fill, [{"text": "good w1"}], tmp_path / "store")
    asked = Asked(keeping=Keeping("sample"))
    with pytest.raises(UsageError, match="keep: sample: task fill-mask draws other inputs"):
        teacher_outputs(context, artifact, "train", asked, word_processor())
