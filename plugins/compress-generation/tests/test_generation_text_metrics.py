"""Scores of generated texts are those of sacrebleu and rouge-score, and add up over examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compress_generation import ngrams
from compress_generation.metrics import counts_of
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from compress.registry.plugins import load_plugins
from compress.task import Task

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    ",",
    "two",
    "dogs",
    ";",
    "die",
    "Straße",
    "grün",
    ".",
]
TASKS = ("translation", "summarization", "text2text-generation")


def texts(count: int, seed: int, most: int = 14) -> list[str]:
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, draw.integers(1, most))) for _ in range(count)]


ANSWERS = [*texts(38, 1), "", "the cat"]
FIRST = [*texts(38, 2), "a mat", "the cat"]
"""Some answers are near to their references."""
for place in range(0, 38, 3):
    ANSWERS[place] = f"{FIRST[place]} {ANSWERS[place]}"
SECOND = texts(40, 3)


def task_of(name: str) -> Task[Any]:
    cls = load_plugins().tasks[name].cls
    made: Task[Any] = cls(cls.Options())
    return made


def rows(several: bool) -> list[dict[str, Any]]:
    return [
        {"source": "x", "target": first, "references": [second] if several and i % 2 else []}
        for i, (first, second) in enumerate(zip(FIRST, SECOND, strict=True))
    ]


def metrics(several: bool, name: str = "translation") -> dict[str, float]:
    given = [{"answer": answer} for answer in ANSWERS]
    return dict(task_of(name).score(given, rows(several), [], None).metrics)


def references(several: bool) -> list[list[str | None]]:
    if not several:
        return [list(FIRST)]
    return [list(FIRST), [text if i % 2 else None for i, text in enumerate(SECOND)]]


@pytest.mark.parametrize("several", [False, True])
def test_bleu_and_chrf_are_sacrebleus_own(several: bool) -> None:
    scores, right = metrics(several), references(several)
    assert scores["bleu"] == BLEU().corpus_score(ANSWERS, right).score
    assert scores["chrf"] == CHRF().corpus_score(ANSWERS, right).score
    assert 5 < scores["bleu"] < 95


@pytest.mark.parametrize("several", [False, True])
def test_rouge_is_rouge_scores_own_with_the_best_reference(several: bool) -> None:
    scores, scorer = metrics(several), RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    for name in ("rouge1", "rouge2", "rougeL"):
        best = [
            max(scorer.score(text, answer)[name].fmeasure for text in right if text is not None)
            for answer, right in zip(ANSWERS, zip(*references(several), strict=True), strict=True)
        ]
        assert scores[name] == pytest.approx(float(np.mean(best)))


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("several", [False, True])
def test_the_headline_is_that_of_the_summed_counts_of_the_examples(
    name: str, several: bool
) -> None:
    task, given = task_of(name), [{"answer": answer} for answer in ANSWERS]
    counts = task.resample(given, rows(several), [])
    assert counts is not None
    assert task.headline_of(counts.sum(axis=0)) == pytest.approx(
        metrics(several, name)[task.headline], rel=1e-12
    )


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_a_resample_scores_as_its_own_texts(metric: str) -> None:
    kind = {"bleu": BLEU, "chrf": CHRF}[metric]
    draw = np.random.default_rng(4)
    for size in (1, 2, 3, 40):
        some = draw.integers(0, len(ANSWERS), size).tolist()
        answers, right = [ANSWERS[i] for i in some], [FIRST[i] for i in some]
        counts = counts_of(metric, answers, [[text] for text in right], "13a")
        own = kind().corpus_score(answers, [right]).score
        assert ngrams.OF_COUNTS[metric](counts.sum(axis=0)) == pytest.approx(own, abs=1e-9)


def test_the_way_of_counting_is_stated() -> None:
    given = [{"answer": answer} for answer in ANSWERS]
    signatures = task_of("translation").score(given, rows(False), [], None).signatures
    assert signatures["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert signatures["chrf"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")


def test_bleu_takes_the_words_of_the_option() -> None:
    cls = load_plugins().tasks["translation"].cls
    row, given = {"source": "x", "target": "abcdefg"}, [{"answer": "abcdefh"}]
    by_word, by_character = (
        cls(cls.Options(bleu_words=words)).score(given, [row], [], None).metrics["bleu"]
        for words in ("13a", "char")
    )
    assert by_word == 0
    assert by_character > 50


def test_exact_match_takes_any_right_answer() -> None:
    row = {"source": "x", "target": "yes", "references": ["no"]}
    given = [{"answer": "no"}, {"answer": "maybe"}]
    scores = task_of("text2text-generation").score(given, [row, row], [], None).metrics
    assert scores["exact_match"] == 0.5
