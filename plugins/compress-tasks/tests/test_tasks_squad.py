"""Exact match and F1, held against another implementation of SQuAD's rules and, for its version 2,
against worked cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compress_tasks import QuestionAnswering
from compress_tasks.question_options import QuestionAnsweringOptions
from compress_tasks.squad import counted_words, is_exact, overlap

WORDS = ["the", "cat", "a", "Cat", "sat.", "an", "U.S.", "1,000", "well-known", "é", "on", "_", "—"]


def task(**options: Any) -> QuestionAnswering:
    return QuestionAnswering(QuestionAnsweringOptions(**options))


def scored(answers: list[str], references: list[list[str]], **options: Any) -> dict[str, float]:
    """The metrics of answers to rows."""
    rows = [{"answers": known} for known in references]
    predictions = [{"answer": answer} for answer in answers]
    return dict(task(**options).score(predictions, rows, [], None).metrics)  # type: ignore[arg-type]


def test_scores_equal_those_of_torchmetrics_on_the_same_answers() -> None:
    squad = pytest.importorskip(
        "torchmetrics.functional.text", reason="torchmetrics is not installed"
    ).squad
    draws = np.random.default_rng(0)

    def text(most: int) -> str:
        return " ".join(draws.choice(WORDS, size=draws.integers(1, most)))

    answers = [text(6) for _ in range(300)]
    references = [[text(5) for _ in range(draws.integers(1, 4))] for _ in answers]
    for i in range(0, 300, 5):  # some are right
        answers[i] = references[i][-1].upper()
    expected = squad(
        [{"prediction_text": answer, "id": str(i)} for i, answer in enumerate(answers)],
        [
            {"answers": {"text": known, "answer_start": [0] * len(known)}, "id": str(i)}
            for i, known in enumerate(references)
        ],
    )
    found = scored(answers, references)
    assert set(found) == {"f1", "exact_match"} and 0.2 < found["exact_match"] < found["f1"] < 0.9
    for name, value in found.items():
        assert 100 * value == pytest.approx(float(expected[name]), abs=1e-3)


def test_articles_case_punctuation_and_spaces_do_not_count() -> None:
    assert counted_words("The  U.S. — an Army!") == ["us", "—", "army"]
    assert is_exact("the Cat.", "a cat") and not is_exact("cats", "cat")
    assert overlap("the cat sat", "cat sat down") == pytest.approx(0.8)
    assert overlap("cat cat", "cat") == pytest.approx(2 / 3)
    assert (overlap("", "the"), overlap("cat", "")) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("answer", "known", "f1", "exact"),
    [
        ("", [], 1, 1),  # rightly none
        ("cat", [], 0, 0),  # an answer where there is none
        ("the", [], 1, 1),  # without a word that counts, it is none
        ("", ["cat"], 0, 0),  # none where there is one
        ("cat", ["the", "cat"], 1, 1),
        ("", ["the", "cat"], 0, 0),  # an answer without words is no right one
        ("", ["the"], 1, 1),  # nor the only one: then the question has none
        ("black cat", ["cat", "white cat sat"], 2 / 3, 0),
    ],
)
def test_version_2_by_worked_cases(answer: str, known: list[str], f1: float, exact: float) -> None:
    found = scored([answer], [known], no_answer=0.0)
    assert (found["f1"], found["exact_match"]) == (pytest.approx(f1), exact)


def test_version_2_tells_questions_with_and_without_an_answer_apart() -> None:
    found = scored(
        ["a cat", "black cat", "", "dog", ""], [["cat"], ["cat"], ["x"], [], []], no_answer=0.0
    )
    assert found == {
        "f1": pytest.approx((1 + 2 / 3 + 0 + 0 + 1) / 5),
        "exact_match": 2 / 5,
        "answered_f1": pytest.approx((1 + 2 / 3) / 3),
        "answered_exact_match": pytest.approx(1 / 3),
        "no_answer_accuracy": 1 / 2,
    }
    assert "no_answer_accuracy" not in scored(["cat"], [["cat"]], no_answer=0.0)
    assert "answered_f1" not in scored([""], [[]], no_answer=0.0)


def test_the_headline_follows_exactly_from_summed_counts() -> None:
    draws = np.random.default_rng(1)
    answers = [" ".join(draws.choice(WORDS, size=4)) for _ in range(101)]
    rows = [{"answers": [" ".join(draws.choice(WORDS, size=3))]} for _ in answers]
    made, predictions = task(), [{"answer": answer} for answer in answers]
    counts = made.resample(predictions, rows, [])
    assert counts.shape == (101, 3)
    score = made.score(predictions, rows, [], None)  # type: ignore[arg-type]
    assert float(made.headline_of(counts.sum(axis=0))) == score.metrics["f1"]
    assert made.headline_of(np.stack([counts.sum(axis=0)] * 2)).shape == (2,)


def test_a_decision_is_right_where_the_answer_is_exact() -> None:
    row = {"answers": ["The cat", "a black cat"]}
    (one,) = task().decisions({"answer": "Cat!", "confidence": 0.7}, row, [])
    assert (one.answer, one.right, one.cls, one.confidence) == ("cat", True, "answer", 0.7)
    (none,) = task(no_answer=0.0).decisions({"answer": ""}, {"answers": []}, [])
    assert (none.answer, none.right, none.cls) == ("", True, "no answer")


def test_the_most_frequent_answer_is_none_where_none_may_be_right() -> None:
    rows = [{"answers": []}, {"answers": ["x"]}]
    assert task().most_frequent([], rows, []) is None
    constant = task(no_answer=0.0).most_frequent([], rows, [])
    assert constant is not None
    counts = task(no_answer=0.0).resample(constant, rows, [])
    np.testing.assert_array_equal(counts, [[1, 1, 1], [0, 0, 1]])
