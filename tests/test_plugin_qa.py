"""Question answering as a plugin: contexts in windows, from training to an answer by ONNX
Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from installing import install
from tiny import make_artifact, read, save_bert, task_named, word_processor

from compress.artifact import Artifact
from compress.errors import CompressError, UsageError
from compress.predict import parts_of
from compress.registry.plugins import load_plugins
from compress.serving import open_predictor
from compress.store.prepared import Prepared
from compress.task import RowError, Task
from compress.workers.jobs.probing import open_probe
from compress.workers.protocol import Chosen, ProbeArtifact, Subject

Row = dict[str, Any]
WORDS = [f"w{i}" for i in range(1, 9)]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Task[Any]]:
    """The task, whose windows have 16 tokens."""
    folder = tmp_path_factory.mktemp("qa") / "site"
    install(folder, "compress-qa")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield task_named("toy-question-answering", stride=4, longest=3)


def asked(count: int, seed: int) -> list[Row]:
    """Questions for the word after ``good``, in contexts of 10 to 40 words."""
    draws = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        words = draws.choice(WORDS, size=draws.integers(10, 40)).tolist()
        place = int(draws.integers(len(words)))
        context = " ".join([*words[:place], "good", "bad", *words[place:]])
        rows.append({"question": "good w1", "context": context, "answer": "good bad"})
    return rows


SPLITS = {"train": asked(24, 1), "validation": asked(6, 2), "test": asked(6, 3)}


@pytest.fixture(scope="module")
def trained(task: Task[Any], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A tiny BERT that was fine-tuned, with validation after each epoch."""
    place = tmp_path_factory.mktemp("chain")
    (place / "model").mkdir()
    return make_artifact(
        place / "trained",
        "finetune",
        task,
        SPLITS,
        input=save_bert(place / "model", task, ()),
        epochs=2,
        batch_size=8,
        learning_rate=2e-2,
        precision="fp32",
    )


def test_windows_cover_a_context_and_share_tokens(task: Task[Any]) -> None:
    (row,) = read([r for r in asked(9, 5) if len(r["context"].split()) > 30][:1], task, ())
    features = task.features([row], word_processor())
    assert len(features) > 2 and {f["row"] for f in features} == {0}
    spans = [{span for span in f["spans"] if span} for f in features]
    assert len(set().union(*spans)) == len(row["context"].split())
    assert all(len(one & other) == 4 for one, other in zip(spans[:-2], spans[1:-1], strict=True))
    assert all(len(f["input_ids"]) <= 16 for f in features)
    held = [f for f in features if f["start_positions"]]
    assert held
    for f in held:
        begin, end = f["spans"][f["start_positions"]][0], f["spans"][f["end_positions"]][1]
        assert row["context"][begin:end] == "good bad"


def test_every_row_has_its_parts_and_what_is_no_row_is_refused(task: Task[Any]) -> None:
    rows = read(asked(5, 4), task, ())
    features = task.features(rows, word_processor())
    parts = parts_of(task, features, 5)
    assert sum(parts, []) == list(range(len(features))) and max(map(len, parts)) > 1
    with pytest.raises(CompressError, match="task toy-question-answering: row 0 has no features"):
        parts_of(task, features[len(parts[0]) :], 5)


def test_the_best_window_answers(task: Task[Any]) -> None:
    row = {"context": "one two three"}
    parts = [{"start": 0, "end": 3, "score": 1.0}, {"start": 4, "end": 7, "score": 2.0}]
    assert task.join(parts, row)["text"] == "two"


def test_an_answer_that_the_context_lacks_and_a_question_without_room_are_refused(
    task: Task[Any],
) -> None:
    with pytest.raises(RowError, match="does not hold the answer 'elsewhere'"):
        read([{"question": "q", "context": "here", "answer": "elsewhere"}], task, ())
    with pytest.raises(UsageError, match="max_length 16 and stride 4 leave no room"):
        task.features(task.request([("w1 " * 20, "w2 w3")]), word_processor())
    with pytest.raises(UsageError, match=r"has 1 text, and the task takes 2 texts"):
        task.request(["no context"])


def test_a_trained_model_is_measured_row_by_row(task: Task[Any], trained: Artifact) -> None:
    assert trained.manifest.notes["best_validation"] > 0
    registry = load_plugins()
    data = trained.folder.parent / "data"
    options = task.options.model_dump(mode="json")
    subject = Subject("qa", trained.folder, Chosen(task.name, options), Prepared(data, "digest"))
    probe = open_probe(ProbeArtifact(subject, "quick"), registry)
    assert len(probe.rows) == 6 < len(probe.features)
    sample = registry.meters["quality"].cls().sample(probe)
    assert len(sample["predictions"]) == 6 and sample["conditions"]["examples"] == 6
    assert 0 <= sample["metrics"]["exact_match"] <= sample["metrics"]["f1"] <= 1
    timing = registry.meters["latency"].cls()
    timing.prepare(probe)
    timed, first = timing.sample(probe), [probe.features[parts[0]] for parts in probe.parts]
    assert len(timed["nanoseconds"]) == timed["conditions"]["examples"] == 6
    lengths = [task.length(part) for part in first]
    assert timed["conditions"]["mean_length"] == pytest.approx(sum(lengths) / 6, abs=0.05)


@pytest.mark.slow
def test_the_exported_file_answers_a_question_as_the_model_does(
    task: Task[Any], trained: Artifact, tmp_path: Path
) -> None:
    exported = make_artifact(tmp_path / "onnx", "export.onnx", task, SPLITS, input=trained)
    question = ("good w1", asked(1, 7)[0]["context"])
    answers = [
        open_predictor(each.folder, load_plugins())([question]) for each in (trained, exported)
    ]
    assert answers[0] == answers[1] and set(answers[0][0]) == {"question", "answer"}
    assert answers[0][0]["answer"] in question[1]
