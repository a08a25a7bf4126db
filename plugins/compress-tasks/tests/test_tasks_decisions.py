"""The decisions that answers hold, by which artifacts are compared."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from compress_tasks import FillMask, TextClassification, TokenClassification
from compress_tasks.fill_mask import FillMaskOptions
from compress_tasks.text_classification import TextClassificationOptions

from compress.processor import TextProcessor
from compress.task import Decision, TextTaskOptions

TAGS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
ROW = {"tokens": ["John", "unaffordable", "cats", "Paris"], "tags": [3, 4, 0, 1], "id": "test-0"}


def classifier(kind: str) -> TextClassification:
    return TextClassification(TextClassificationOptions(kind=kind))  # type: ignore[arg-type]


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits.astype(np.float64))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def test_a_label_is_one_decision_with_its_probability() -> None:
    logits = np.array([[1.0, 3.0], [2.0, 0.0]], dtype=np.float32)
    answers = classifier("single").predictions({"logits": logits}, [])
    found = [classifier("single").decisions(a, {"label": 1}, ["bad", "good"]) for a in answers]
    assert found == [
        [Decision("good", True, "good", pytest.approx(softmax(logits)[0, 1]))],
        [Decision("bad", False, "good", pytest.approx(softmax(logits)[1, 0]))],
    ]


def test_several_labels_are_a_decision_each_and_a_missing_one_has_a_confidence_too() -> None:
    logits = np.array([[2.0, -1.0, 0.5]], dtype=np.float32)
    (answer,) = classifier("multi").predictions({"logits": logits}, [])
    found = classifier("multi").decisions(answer, {"label": [1, 1, 0]}, ["a", "b", "c"])
    shares = 1 / (1 + np.exp(-np.array([2.0, 1.0, 0.5])))
    assert [(d.answer, d.right, d.cls) for d in found] == [
        (1, True, "a"),
        (0, False, "b"),
        (1, False, "c"),
    ]
    assert [d.confidence for d in found] == pytest.approx(shares, abs=1e-5)


def test_a_number_is_no_decision() -> None:
    assert classifier("regression").decisions({"value": 2.5}, {"label": 2.5}, []) == []


def tagged(
    processor: TextProcessor,
    row: dict[str, Any],
    logits: np.ndarray | None = None,
    max_length: int = 128,
) -> tuple[TokenClassification, dict[str, Any]]:
    """The task and its answer to ``row``, from random logits where none are given."""
    task = TokenClassification(TextTaskOptions(max_length=max_length))
    features = task.features([row], processor)
    if logits is None:
        logits = (
            np.random.default_rng(0)
            .normal(size=(len(features[0]["input_ids"]), 5))
            .astype(np.float32)
        )
    return task, task.predictions({"logits": logits[None]}, features)[0]


def test_each_word_is_a_decision_with_the_probability_at_its_first_piece(
    processor: TextProcessor,
) -> None:
    logits = np.random.default_rng(1).normal(size=(9, 5)).astype(np.float32)
    task, answer = tagged(processor, ROW, logits)
    at = [1, 2, 5, 7]  # [CLS] john un ##afford ##able cat ##s paris [SEP]
    found = task.decisions(answer, ROW, TAGS)
    assert [d.answer for d in found] == [TAGS[i] for i in logits[at].argmax(axis=-1)]
    assert [d.confidence for d in found] == pytest.approx(
        softmax(logits)[at].max(axis=-1), abs=1e-5
    )
    assert [d.cls for d in found] == ["PER", "PER", "O", "LOC"]
    assert [d.right for d in found] == [
        d.answer == TAGS[t] for d, t in zip(found, ROW["tags"], strict=True)
    ]


def test_words_that_the_model_did_not_see_are_answered_outside_as_they_are_scored(
    processor: TextProcessor,
) -> None:
    row = {**ROW, "tags": [3, 4, 1, 0]}
    task, answer = tagged(processor, row, max_length=6)
    assert answer["tags"][2:] == answer["confidence"][2:] == [None, None]
    cut = task.decisions(answer, row, TAGS)[2:]
    assert cut == [Decision("O", False, "LOC", None), Decision("O", True, "O", None)]


def test_the_share_of_right_words_is_the_accuracy_of_the_score(processor: TextProcessor) -> None:
    rows = [ROW, {**ROW, "tags": [0, 0, 1, 2]}]
    task, answer = tagged(processor, ROW, max_length=6)
    answers = [answer, answer]
    right = [
        d.right for a, row in zip(answers, rows, strict=True) for d in task.decisions(a, row, TAGS)
    ]
    metrics = task.score(answers, rows, TAGS, None).metrics
    assert np.mean(right) == metrics["accuracy"]
    assert set(task.directions) == set(metrics) - {"f1"}


def test_each_masked_token_is_a_decision_about_the_token_that_was_there(
    processor: TextProcessor,
) -> None:
    task = FillMask(FillMaskOptions(mask_probability=0.5))
    row = {"text": "the cat sat on a mat and john went to paris ."}
    features = task.features([row], processor)
    size = processor.tokenizer.get_vocab_size()
    logits = (
        np.random.default_rng(2)
        .normal(size=(1, len(features[0]["input_ids"]), size))
        .astype(np.float32)
    )
    (answer,) = task.predictions({"logits": logits}, features)
    found = task.decisions(answer, row, [])
    labels = task.collate(features, processor)["labels"][0]
    positions = [list(labels).index(w) for w in answer["wanted"]]
    assert len(found) == answer["masked"] == 6 and sum(d.right for d in found) == answer["correct"]
    assert sorted(int(d.cls) for d in found) == sorted(labels[labels >= 0].tolist())
    assert [d.answer for d in found] == logits[0, positions].argmax(axis=-1).tolist()
    assert [d.confidence for d in found] == pytest.approx(
        softmax(logits[0, positions]).max(axis=-1), abs=1e-5
    )


def test_answers_stay_json_and_what_predict_prints_holds_no_confidence(
    processor: TextProcessor,
) -> None:
    task, answer = tagged(processor, ROW)
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    shown = task.present({**answer, "tags": [3, 4, 0, 1]}, ROW, TAGS)
    assert set(shown) == {"text", "entities"} and set(shown["entities"][0]) == {
        "type",
        "text",
        "start",
        "end",
    }


@pytest.mark.parametrize("kind", ["single", "multi", "regression"])
def test_every_metric_says_which_way_it_points(kind: str) -> None:
    task = classifier(kind)
    logits = (
        np.array([[2.0], [1.0]]) if kind == "regression" else np.array([[2.0, -1.0], [-1.0, 2.0]])
    )
    references = {"single": [0, 1], "multi": [[1, 0], [0, 1]], "regression": [2.5, 1.0]}[kind]
    answers = task.predictions({"logits": logits}, [])
    metrics = task.score(answers, [{"label": r} for r in references], ["a", "b"], None).metrics
    assert set(metrics) - {task.headline} <= set(task.directions)


# the most frequent answer


def headline(task: Any, answers: Any, rows: Any, labels: Any) -> float:
    """The headline by the task's score, which its counts agree with."""
    score = float(task.score(answers, rows, labels, None).metrics[task.headline])
    assert float(task.headline_of(task.resample(answers, rows, labels).sum(axis=0))) == score
    return score


def test_the_most_frequent_label_is_as_often_right_as_it_occurs() -> None:
    task, rows = classifier("single"), [{"label": i} for i in (2, 0, 2, 1, 2)]
    answers = task.most_frequent([], rows, ["a", "b", "c"])
    assert answers == [{"label": 2, "score": 0.6}] * 5
    assert headline(task, answers, rows, ["a", "b", "c"]) == 0.6


@pytest.mark.parametrize(
    ("rows", "chosen", "f1"),
    [
        ([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]], [0], 2 * 3 / (2 * 3 + 1 + 2)),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]], [0], 2 * 2 / (2 * 2 + 3 + 1)),
        ([[1, 0, 1], [1, 1, 1], [0, 0, 1]], [0, 2], 2 * 5 / (2 * 5 + 1 + 1)),
        ([[0, 0, 0]] * 4, [0], 0.0),
    ],
)
def test_of_several_labels_those_that_most_have_are_answered_and_one_at_least(
    rows: Any, chosen: list[int], f1: float
) -> None:
    task, labels = classifier("multi"), ["a", "b", "c"]
    references = [{"label": row} for row in rows]
    answers = task.most_frequent([], references, labels)
    assert [a["labels"] for a in answers] == [chosen] * len(rows)
    assert headline(task, answers, references, labels) == pytest.approx(f1)
    assert len(task.decisions(answers[0], references[0], labels)) == 3


def test_the_mean_of_numbers_has_no_correlation() -> None:
    task, rows = classifier("regression"), [{"label": v} for v in (1.0, 2.0, 6.0)]
    answers = task.most_frequent([], rows, [])
    assert answers == [{"value": 3.0}] * 3 and headline(task, answers, rows, []) == 0.0


def test_the_most_frequent_tag_finds_no_entity() -> None:
    task, rows = TokenClassification(TextTaskOptions()), [ROW, {**ROW, "tags": [0, 0, 0, 1]}]
    answers = task.most_frequent([], rows, TAGS)
    assert answers == [{"tags": [0] * 4, "confidence": [0.5] * 4}] * 2
    assert headline(task, answers, rows, TAGS) == 0.0


def test_the_token_that_is_hidden_most_often_is_right_that_often() -> None:
    task = FillMask(FillMaskOptions())
    asked = [{"wanted": [7, 7, 9]}, {"wanted": []}, {"wanted": [7]}]
    answers = task.most_frequent(asked, [{}] * 3, [])
    assert answers is not None and headline(task, answers, [{}] * 3, []) == 0.75
    assert [a["answers"] for a in answers] == [[7, 7, 7], [], [7]]
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert task.score(answers, [{}] * 3, [], None).metrics["loss"] == pytest.approx(entropy)
    assert task.most_frequent([{"wanted": []}], [{}], []) is None
