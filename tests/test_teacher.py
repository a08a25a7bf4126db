"""What a teacher answers, beside its student: at which rows and tokens it stands, what of it is
kept, and what is refused."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import (
    LABELS,
    TAGS,
    WORDS,
    Rows,
    asking,
    read,
    save_bert,
    sentences,
    tagged,
    task_named,
    tiny_bert,
    word_processor,
)
from torch import Tensor
from torch.nn import functional

from compress.distillable import Distillable
from compress.errors import CompressError, UsageError
from compress.models import open_model
from compress.pairing import counts_of, lines_of, paired
from compress.raggedfiles import RaggedFile, RaggedWriter
from compress.task import IGNORED, Features, Task
from compress.teacher import Asked, Pairs, TeacherOutputs, teacher_outputs

CLASSIFY = task_named("text-classification")
TAG = task_named("token-classification")
FILL = task_named("fill-mask")
ASKED, ANSWERS = Asked(states=(-1, 0)), Asked()
CASES: list[tuple[Task[Any], tuple[str, ...], Rows]] = [
    (CLASSIFY, LABELS, sentences(70, 3)),
    (TAG, TAGS, tagged(70, 3)),
]


class Asking:
    """A teacher, its rows and their features, and ways to ask it."""

    def __init__(self, folder: Path, task: Task[Any], labels: Sequence[str], rows: Rows) -> None:
        self.task, self.folder = task, folder
        self.artifact = save_bert(folder / "teacher", task, labels)
        self.rows = read(rows, task, labels)
        self.features = task.features(self.rows, word_processor())

    def ask(self, asked: Asked = ASKED, data: str = "digest") -> TeacherOutputs:
        context = asking(self.task, self.rows, self.folder / "store", data)
        return teacher_outputs(context, self.artifact, "train", asked, word_processor())

    def batch(self, places: Sequence[int]) -> dict[str, Tensor]:
        return batch_of(self.task, [self.features[i] for i in places])

    def beside(
        self, outputs: TeacherOutputs, places: Sequence[int], student: Mapping[str, Any]
    ) -> Pairs:
        return outputs.pairs(student, self.batch(places), torch.tensor(places))


def batch_of(task: Task[Any], features: Sequence[Features]) -> dict[str, Tensor]:
    arrays = task.collate(features, word_processor())
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def answers_of(model: Any, batch: Mapping[str, Tensor]) -> Mapping[str, Any]:
    with torch.no_grad():
        answers: Mapping[str, Any] = model(**batch, output_hidden_states=True)
    return answers


@pytest.fixture(scope="module", params=CASES, ids=["one answer a text", "one answer a token"])
def asking_once(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Asking:
    case = Asking(tmp_path_factory.mktemp("asking"), *request.param)
    lengths = [len(f["input_ids"]) for f in case.features]
    assert lengths not in (sorted(lengths), sorted(lengths, reverse=True)) and len(set(lengths)) > 5
    return case


def test_a_student_stands_beside_the_teachers_answer_to_the_same_row(asking_once: Asking) -> None:
    case = asking_once
    places = [41, 3, 69, 0]
    student = tiny_bert(case.task, seed=9, labels=case.artifact.manifest.labels).eval()
    batch = case.batch(places)
    own = answers_of(student, batch)
    pairs = case.beside(case.ask(), places, own)
    (answers,), (last, first) = pairs.answers, pairs.states
    teacher = open_model(case.artifact, case.task)
    rows = []
    for place in places:  # alone: nothing is padded
        outputs = answers_of(teacher, case.batch([place]))
        labels = case.batch([place])["labels"][0]
        per_token = outputs["logits"].dim() == 3
        logits = outputs["logits"][0][labels != IGNORED] if per_token else outputs["logits"]
        rows.append((logits, outputs["hidden_states"][-1][0], outputs["hidden_states"][0][0]))
    for pair, expected in zip((answers, last, first), zip(*rows, strict=True), strict=True):
        near = {"atol": 2e-3, "rtol": 2e-3} if pair is not answers else {"atol": 1e-5, "rtol": 1e-5}
        torch.testing.assert_close(pair.teacher, torch.cat(expected), **near)
        assert pair.student.shape == pair.teacher.shape
    real = batch["attention_mask"].bool()
    assert torch.equal(last.student, own["hidden_states"][-1][real])


def test_what_does_not_count_is_not_kept(asking_once: Asking) -> None:
    case = asking_once
    case.ask()
    (folder,) = (case.folder / "store").glob("products/teacher-outputs/*/content")
    tokens = sum(len(f["input_ids"]) for f in case.features)
    words = sum(len(row["tokens"]) for row in case.rows) if case.task is TAG else len(case.rows)
    assert np.load(folder / "states-0.npy").shape == (tokens, 16)
    assert len(np.load(folder / "answers-0.npy")) == words


def test_the_teacher_is_asked_once_for_one_thing(
    asking_once: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = asking_once
    case.ask()
    monkeypatch.setattr("compress.teacher.open_model", None)
    case.ask()
    for other in ({"asked": Asked(states=(-1,))}, {"data": "another"}):
        with pytest.raises(TypeError):
            case.ask(**other)  # type: ignore[arg-type]


def test_a_teacher_that_reads_other_tokens_is_refused(asking_once: Asking) -> None:
    case = asking_once
    processor = word_processor()
    processor.tokenizer.add_tokens(["another"])
    context = asking(case.task, case.rows, case.folder / "store")
    with pytest.raises(UsageError, match="different tokenizers"):
        teacher_outputs(context, case.artifact, "train", ASKED, processor)


# what a task draws anew


@pytest.fixture(scope="module")
def masking(tmp_path_factory: Any) -> Asking:
    rows = [{"text": row["text"]} for row in sentences(12, 3)]
    return Asking(tmp_path_factory.mktemp("masking"), FILL, (), rows)


def test_a_teacher_answers_the_masks_that_the_student_is_given(masking: Asking) -> None:
    outputs = masking.ask(Asked(states=(-1,)))
    teacher = open_model(masking.artifact, FILL)
    draws = np.random.default_rng(1)
    features = masking.features[:4]
    for _ in range(2):
        arrays = FILL.collate(features, word_processor(), draws)
        batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
        logits = answers_of(teacher, batch)
        pairs = outputs.pairs(logits, batch, torch.arange(4))
        (answers,) = pairs.answers
        assert answers.student.shape == (int((batch["labels"] != IGNORED).sum()), len(WORDS))
        torch.testing.assert_close(answers.teacher, answers.student)
        assert not answers.teacher.is_inference() and len(pairs.states) == 1
    assert not (masking.folder / "store").exists(), "nothing of it is kept"


def test_a_teacher_that_would_miss_an_input_is_refused(
    masking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = word_processor()
    own.model_type = "distilbert"
    context = asking(FILL, masking.rows, masking.folder / "store")
    teacher_outputs(context, masking.artifact, "train", Asked(), own)  # all types are 0
    filled = [{**f, "token_type_ids": [1] * len(f["input_ids"])} for f in masking.features]
    plain = [{k: v for k, v in f.items() if k != "token_type_ids"} for f in masking.features]
    monkeypatch.setattr(
        type(FILL), "features", lambda self, rows, p: (plain if p is own else filled)[: len(rows)]
    )
    with pytest.raises(
        UsageError, match="reads token_type_ids, and the student's inputs have none"
    ):
        teacher_outputs(context, masking.artifact, "train", Asked(), own)


# what a task says


def test_choices_that_do_not_count_have_no_probability_on_either_side() -> None:
    """Starts of a span, in two windows of 3 and 5 tokens."""
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    student, teacher = torch.randn(2, 5, requires_grad=True), torch.randn(2, 5)
    lines = lines_of(Distillable(teacher, mask))
    assert lines.shape == (8, 1) and counts_of(Distillable(teacher, mask)) == [3, 5]
    pair = paired(Distillable(student, mask), lines)
    for sides, row in ((pair.student, student), (pair.teacher, teacher)):
        shares = sides.softmax(-1)
        torch.testing.assert_close(shares[0, :3], row[0, :3].softmax(-1))
        torch.testing.assert_close(shares[1], row[1].softmax(-1))
        assert not shares[0, 3:].any()
    for temperature in (0.1, 1.0, 10.0):
        sides = [functional.log_softmax(x / temperature, -1) for x in (pair.student, pair.teacher)]
        loss = functional.kl_div(*sides, reduction="batchmean", log_target=True)
        (gradient,) = torch.autograd.grad(loss, student, retain_graph=True)
        assert torch.isfinite(loss) and torch.isfinite(gradient).all()
        assert not gradient[0, 3:].any()


def test_yes_or_no_of_each_choice_is_one_answer_for_each_that_counts() -> None:
    mask = torch.tensor([[1, 0], [1, 1]]).bool()
    values = torch.randn(2, 2)
    pair = paired(Distillable(values, mask, "binary"), torch.zeros(3, 1))
    assert torch.equal(pair.student, values[mask][:, None]) and pair.teacher.shape == (3, 1)


def test_logits_are_compared_where_there_are_labels_else_where_there_is_no_padding() -> None:
    logits = torch.randn(2, 3, 4)
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    labels = torch.tensor([[IGNORED, 1, IGNORED], [0, IGNORED, IGNORED]])

    def counted(**batch: Tensor) -> Tensor | None:
        (part,) = Task.distillable(CLASSIFY, {"logits": logits}, batch)
        return part.mask

    both = counted(labels=labels, attention_mask=mask)
    assert both is not None and torch.equal(both, labels != IGNORED)
    padding = counted(labels=torch.tensor([0, 1]), attention_mask=mask)
    assert padding is not None and torch.equal(padding, mask.bool())
    assert counted(labels=torch.tensor([0, 1]), attention_mask=torch.ones(2, 7)) is None
    (number,) = Task.distillable(CLASSIFY, {"logits": torch.randn(2, 1)}, {})
    assert (number.divergence, number.mask) == ("regression", None)


@pytest.mark.parametrize(
    ("values", "mask", "divergence", "words"),
    [
        (torch.zeros(3), None, "softmax", r"values are \[3\], and not \[batch"),
        (
            torch.zeros(3, 2),
            torch.ones(2),
            "softmax",
            r"the mask is \[2\], and values are \[3, 2\]",
        ),
        (torch.zeros(3, 2), None, "cosine", "divergence is 'cosine'; give one of softmax"),
    ],
)
def test_what_no_student_could_learn_is_refused(
    values: Tensor, mask: Tensor | None, divergence: Any, words: str
) -> None:
    with pytest.raises(CompressError, match=words):
        Distillable(values, mask, divergence)


class Strange(type(CLASSIFY)):  # type: ignore[misc]
    """A task whose students learn what ``parts`` say."""

    name = "strange"
    parts: Any = staticmethod(lambda outputs: [])

    def distillable(
        self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]
    ) -> list[Distillable]:
        return list(type(self).parts(outputs))


def test_what_fits_no_teacher_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Strange(CLASSIFY.options)
    case = Asking(tmp_path, task, LABELS, sentences(6, 0))
    places = [2, 0, 5]
    own = answers_of(open_model(case.artifact, task), case.batch(places))

    def refused(words: str, asked: Asked = ANSWERS, **outputs: Any) -> None:
        with pytest.raises(UsageError, match=words):
            case.beside(case.ask(asked), places, {**own, **outputs})

    refused("does not say what else .* Task.distillable")
    monkeypatch.setattr(Strange, "parts", staticmethod(lambda o: [Distillable(o["logits"])]))
    refused("have a width of 2, and the student's of 7", logits=torch.zeros(3, 7))
    refused("gave 3 answers to a batch, and the student 6", logits=torch.zeros(3, 2, 2))
    refused("layer 4 is asked for, and a model has 2 hidden states", Asked(states=(4,)))
    refused("gives no hidden state for each token", Asked(states=(-1,)), hidden_states=None)
    twice = staticmethod(lambda o: [Distillable(o["logits"])] * (1 + (len(o["logits"]) == 3)))
    monkeypatch.setattr(Strange, "parts", twice)
    refused("gave 0 answers to a batch, and the student 3", Asked(states=(0,)))


# files


def test_lines_are_found_whatever_their_order_and_number(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    known = [draws.normal(size=(n, 3)).astype(np.float32) for n in draws.integers(0, 5, 40)]
    order = draws.permutation(40)
    with RaggedWriter(tmp_path, "x", 40) as writer:
        for places in np.split(order, range(7, 40, 7)):
            some = [known[i] for i in places]
            writer.add(places.tolist(), [len(lines) for lines in some], np.concatenate(some))
    file = RaggedFile(tmp_path, "x")
    places = draws.permutation(40)[:11].tolist()
    assert file.counts(places) == [len(known[i]) for i in places]
    assert np.array_equal(file.lines(places), np.concatenate([known[i] for i in places]))


def reading_peak(folder: Path, examples: int) -> int:
    """Bytes that reading 50 batches takes at its highest, of files with so many examples."""
    folder.mkdir()
    lines = np.zeros((1000, 64), dtype=np.float16)
    with RaggedWriter(folder, "states-0", examples) as writer:
        for start in range(0, examples, 100):
            writer.add(range(start, start + 100), [10] * 100, lines)
    tracemalloc.start()
    file = RaggedFile(folder, "states-0")
    draws = np.random.default_rng(0)
    for _ in range(50):
        file.lines(draws.integers(0, examples, 32).tolist())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_reading_takes_no_more_memory_with_a_hundred_times_the_rows(tmp_path: Path) -> None:
    reading_peak(tmp_path / "warm", 200)
    few, many = reading_peak(tmp_path / "few", 200), reading_peak(tmp_path / "many", 20_000)
    assert many < few + 16 * 20_000 + 20_000  # 16 bytes for each row say where its lines are
