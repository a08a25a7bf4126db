"""Ranking as a plugin: a loss of its own over the candidates of a query."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from installing import install
from sklearn.metrics import ndcg_score
from tiny import make_artifact, read, save_bert, task_named, word_processor

from compress.artifact import Artifact
from compress.models import open_model, task_loss
from compress.registry.plugins import load_plugins
from compress.serving import open_predictor
from compress.task import RowError, Task

Row = dict[str, Any]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Task[Any]]:
    """The task."""
    folder = tmp_path_factory.mktemp("ranking") / "site"
    install(folder, "compress-ranking")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield task_named("ranking")


def queries(count: int, seed: int) -> list[Row]:
    """Queries with 2 to 5 candidates, of which those with ``good`` are relevant."""
    draws = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        relevance = [1, 0, *draws.integers(2, size=draws.integers(0, 4)).tolist()]
        texts = [f"w{draws.integers(1, 9)} {'good' if r else 'bad'}" for r in relevance]
        rows.append({"query": "w1 w2", "candidates": texts, "relevance": relevance})
    return rows


SPLITS = {"train": queries(24, 1), "validation": queries(8, 2), "test": queries(8, 3)}


@pytest.fixture(scope="module")
def trained(task: Task[Any], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A tiny BERT that was fine-tuned."""
    place = tmp_path_factory.mktemp("chain")
    (place / "model").mkdir()
    return make_artifact(
        place / "trained",
        "finetune",
        task,
        SPLITS,
        input=save_bert(place / "model", task, ()),
        epochs=4,
        batch_size=4,
        learning_rate=2e-2,
        precision="fp32",
    )


def test_the_loss_is_the_cross_entropy_within_each_query(task: Task[Any]) -> None:
    scores = torch.tensor([0.5, -1.0, 2.0, 0.0, 1.0])
    batch = {"query": torch.tensor([0, 0, 1, 1, 1]), "relevance": torch.tensor([1.0, 0, 0, 1, 1])}
    loss = task.loss(SimpleNamespace(logits=scores[:, None]), batch)
    first = torch.nn.functional.cross_entropy(scores[:2], torch.tensor([1.0, 0.0]))
    second = torch.nn.functional.cross_entropy(scores[2:], torch.tensor([0.0, 0.5, 0.5]))
    torch.testing.assert_close(loss, (first + second) / 2)


def test_the_score_is_sklearn_s(task: Task[Any]) -> None:
    draws = np.random.default_rng(1)
    relevance, scores = draws.integers(0, 4, size=(9, 15)), draws.random((9, 15))
    relevance[:, 0] = 3
    rows = [{"relevance": r.tolist()} for r in relevance]
    found = task.score([{"scores": s.tolist()} for s in scores], rows, [], None)
    assert found.metrics["ndcg_at_10"] == pytest.approx(ndcg_score(relevance, scores, k=10))


def test_candidates_of_a_query_stay_together_and_come_back_to_it(task: Task[Any]) -> None:
    rows = read(queries(5, 4), task, ())
    features = task.features(rows, word_processor())
    batch = task.collate(features, word_processor())
    counts = [len(row["candidates"]) for row in rows]
    assert np.bincount(batch["query"]).tolist() == counts
    logits = np.arange(sum(counts), dtype=np.float32)[:, None]
    answers = task.predictions({"logits": logits}, features)
    assert [len(a["scores"]) for a in answers] == counts
    assert sum((a["scores"] for a in answers), []) == list(range(sum(counts)))


def test_a_query_without_a_relevant_candidate_is_refused(task: Task[Any]) -> None:
    with pytest.raises(RowError, match="no candidate is relevant"):
        read([{"query": "q", "candidates": ["a"], "relevance": [0]}], task, ())


def test_training_learns_the_order_and_its_quality_is_kept(
    task: Task[Any], trained: Artifact
) -> None:
    assert trained.manifest.notes["best_validation"] > 0.9
    rows = read(queries(6, 9), task, ())
    processor = task.processor(trained.folder)
    arrays = task.collate(task.features(rows, processor), processor)
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    loss = task_loss(task, open_model(trained, task), batch)
    assert loss is not None and torch.isfinite(loss)


def test_a_query_is_asked_with_its_candidates_as_texts_or_as_columns(trained: Artifact) -> None:
    predictor = open_predictor(trained.folder, load_plugins())
    asked = [("w1 w2", "w3 bad", "w4 good"), {"query": "w1", "candidates": ["bad w1", "good w1"]}]
    answers = predictor([*asked, "w1 w2\tw3 bad\tw4 good"])
    assert answers[0] == answers[2] and answers[0]["ranked"][0]["text"] == "w4 good"
    assert [len(answer["ranked"]) for answer in answers] == [2, 2, 2]
    assert trained.manifest.labels == ()


@pytest.mark.slow
def test_the_exported_file_ranks_as_the_model_does(
    task: Task[Any], trained: Artifact, tmp_path: Path
) -> None:
    exported = make_artifact(tmp_path / "onnx", "export.onnx", task, SPLITS, input=trained)
    asked = [("w1 w2", "w3 bad", "w4 good", "w5 bad bad")]
    one, other = (
        open_predictor(each.folder, load_plugins())(asked)[0]["ranked"]
        for each in (trained, exported)
    )
    assert [c["text"] for c in one] == [c["text"] for c in other]
    assert [c["score"] for c in one] == pytest.approx([c["score"] for c in other], abs=1e-4)
