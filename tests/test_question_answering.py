"""Question answering from the shipped recipe to an answer, on tiny models and contexts of several
windows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kept_families import kept_families
from tiny import MemorySource, make_artifact, read, save_bert, task_named

from compress.artifact import Artifact
from compress.errors import UsageError
from compress.planning import load_plan
from compress.registry.plugins import load_plugins
from compress.running.summarising import NEVER_CUT, token_lengths
from compress.serving import open_predictor
from compress.store.prepared import Prepared, prepare
from compress.task import Task
from compress.workers.jobs.probing import open_probe
from compress.workers.protocol import Chosen, ProbeArtifact, Subject

Row = dict[str, Any]
WORDS = [f"w{i}" for i in range(1, 9)]
WINDOWS = {"stride": 4, "question_length": 3, "answer_length": 3}


def asked(count: int, seed: int) -> list[Row]:
    """Questions for the two words that begin with ``good``, in contexts of 2 to 30 words."""
    draws = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        words = draws.choice(WORDS, size=draws.integers(2, 30)).tolist()
        place = int(draws.integers(len(words)))
        context = " ".join([*words[:place], "good", "bad", *words[place:]])
        answers = [{"text": "good bad", "answer_start": context.find("good")}]
        rows.append({"question": "good w1", "context": context, "answers": answers})
    return rows


SPLITS = {"train": asked(64, 1), "test": asked(12, 3)}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are slower with several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def task() -> Task[Any]:
    """The task with windows of 16 tokens."""
    return task_named("question-answering", **WINDOWS)


@pytest.fixture(scope="module")
def teacher(task: Task[Any], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A tiny BERT after a fine-tuning, which is enough to find ``good bad``."""
    place = tmp_path_factory.mktemp("teacher")
    given = save_bert(place / "model", task, (), num_hidden_layers=2, hidden_dropout_prob=0.0)
    options = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-2, "precision": "fp32"}
    return make_artifact(place / "made", "finetune", task, SPLITS, input=given, **options)


@pytest.fixture(scope="module")
def student(task: Task[Any], teacher: Artifact) -> Artifact:
    """A student of one layer, distilled from ``teacher``."""
    options = {"epochs": 0.5, "batch_size": 16, "learning_rate": 5e-3, "precision": "fp32"}
    return make_artifact(
        teacher.folder.parents[1] / "student",
        "distill",
        task,
        SPLITS,
        input=teacher,
        student={"layers": 1},
        **options,
    )


def sample(task: Task[Any], made: Artifact) -> Row:
    """What the meter of quality takes of an artifact."""
    data = Prepared(made.folder.parent / "data", "digest")
    options = task.options.model_dump(mode="json")
    subject = Subject("qa", made.folder, Chosen(task.name, options), data)
    registry = load_plugins()
    probe = open_probe(ProbeArtifact(subject, "quick"), registry)
    assert len(probe.rows) == 12 < len(probe.features)
    found: Row = registry.meters["quality"].cls().sample(probe)
    return found


def test_a_trained_model_finds_answers_beyond_the_first_window(
    task: Task[Any], teacher: Artifact
) -> None:
    found = sample(task, teacher)
    rows = read(SPLITS["test"], task, ())
    # A window has a place for 11 tokens of the context.
    later = [len(row["context"][: row["starts"][0]].split()) > 11 for row in rows]
    answers = {one["id"]: one for one in found["predictions"]}
    right = [
        answers[f"test-{i}"]["answer"] == "good bad" for i, is_later in enumerate(later) if is_later
    ]
    assert len(right) > 1 and all(right)
    assert found["metrics"]["exact_match"] <= found["metrics"]["f1"] and found["resampled"]
    assert found["baseline"] is None and found["metrics"]["f1"] > 0.9


def test_a_student_learns_spans_from_its_teacher(task: Task[Any], student: Artifact) -> None:
    assert student.traits.task == "question-answering"
    assert 0 <= sample(task, student)["metrics"]["f1"] <= 1


@pytest.mark.slow
def test_the_int8_file_of_the_student_answers_a_question_about_a_long_text(
    task: Task[Any], student: Artifact
) -> None:
    made = make_artifact(
        student.folder.parents[1] / "int8", "quantize.onnx", task, SPLITS, input=student
    )
    question = ("good w1", asked(1, 7)[0]["context"])
    (answer,) = open_predictor(made.folder, load_plugins())([question])
    assert set(answer) == {"question", "answer", "start", "end", "score"}
    assert question[1][answer["start"] : answer["end"]] == answer["answer"]


def test_questions_without_an_answer_are_learnt_and_measured_apart(tmp_path: Path) -> None:
    task = task_named("question-answering", no_answer=0.0, **WINDOWS)
    splits = {name: [dict(row) for row in rows] for name, rows in SPLITS.items()}
    for rows in splits.values():
        for row in rows[::2]:
            row |= {"context": row["context"].replace("good bad", "w9"), "answers": []}
    given = save_bert(tmp_path / "model", task, ())
    options = {"epochs": 0.2, "batch_size": 16, "precision": "fp32"}
    made = make_artifact(tmp_path / "made", "finetune", task, splits, input=given, **options)
    found = sample(task, made)
    assert {"answered_f1", "no_answer_accuracy"} <= set(found["metrics"])
    assert found["baseline"]["value"] == 0.5


def test_what_is_read_in_windows_is_not_counted_as_cut(task: Task[Any], teacher: Artifact) -> None:
    uncut = type(task)(task.options.model_copy(update={"max_length": NEVER_CUT}))
    data = Prepared(teacher.folder.parent / "data", "digest")
    tokens = token_lengths(data, task, uncut, teacher, 16)["train"]
    assert tokens.lengths.longest > 16 and tokens.cut == 0


def test_an_answer_that_is_not_at_its_place_is_told_with_its_row_in_one_line(
    task: Task[Any], tmp_path: Path
) -> None:
    file = squad_file(tmp_path / "squad.json", 3)
    content = json.loads(file.read_text())
    content["data"][1]["paragraphs"][1]["qas"][0]["answers"][0]["answer_start"] += 1
    file.write_text(json.dumps(content))
    options = {"train": str(file), "splits": {"train": "data.paragraphs.qas"}}
    json_source = load_plugins().sources["json"].cls
    with pytest.raises(UsageError) as caught:
        prepare(json_source(json_source.Options(**options)), task, tmp_path)
    (line,) = str(caught.value).splitlines()
    assert "squad.json:1 [1].paragraphs[1].qas[0]: row 3 of train: the answer 'good bad'" in line


@pytest.mark.parametrize("first", [[], ["good bad"]])
def test_rows_are_prepared_whether_the_first_thousand_have_answers_or_not(
    first: list[str], tmp_path: Path
) -> None:
    """Arrow gives a column of empty lists another type than one of texts."""
    task = task_named("question-answering", no_answer=0.0, **WINDOWS)
    some, none = [{"text": "good bad", "answer_start": 0}], list[Row]()
    answers = [some if first else none] * 1000 + [none if first else some] * 3
    rows = [{"question": "q", "context": "good bad", "answers": each} for each in answers]
    prepare(MemorySource({"train": rows}), task, tmp_path)
    kept = Prepared(tmp_path, "digest").rows("train")
    assert kept[0]["answers"] == first and kept[1002]["answers"] != first
    assert [row["starts"] for row in kept] == [[0] * len(row["answers"]) for row in kept]


def squad_file(path: Path, articles: int) -> Path:
    """A file as SQuAD has them, of small articles."""
    data = []
    for number in range(articles):
        paragraphs = []
        for row in asked(2, number):
            qas = [{"id": "x", "question": row["question"], "answers": row["answers"]}]
            paragraphs.append({"context": row["context"], "qas": qas})
        data.append({"title": f"t{number}", "paragraphs": paragraphs})
    path.write_text(json.dumps({"version": "1.1", "data": data}))
    return path


def test_the_shipped_recipe_makes_a_plan_of_a_local_file_and_keeps_articles_together(
    task: Task[Any], tmp_path: Path
) -> None:
    """As its head says it, with small windows and a student of one layer."""
    file = squad_file(tmp_path / "train-v1.1.json", 9)
    given = save_bert(tmp_path / "model", task, (), num_hidden_layers=3)
    (tmp_path / "model" / "compress.json").unlink()
    overrides = [
        f"model={given.folder}",
        f"data={{train: {file}, splits: {{train: data.paragraphs.qas}}, validation: 0.2, "
        "test: 0.3, group_by: title}",
        "task.question-answering={max_length: 16, stride: 4, question_length: 3}",
        "stages.distill.student.layers=1",
    ]
    plan = load_plan("answer-squad", overrides, load_plugins(), kept_families())
    assert [step.entry.name for step in plan.steps] == ["finetune", "distill", "quantize.onnx"]
    (data,) = (choice for _, choice, _ in plan.different_data())
    tables = data.make().read()
    titles = [{row["title"] for row in table.rows} for table in tables.values()]
    assert sum(map(len, titles)) == 9 == len(set().union(*titles))
